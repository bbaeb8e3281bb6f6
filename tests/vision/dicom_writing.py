"""DICOM files made by hand, with known pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

Pixels = np.ndarray[Any, np.dtype[Any]]


def dicom_set(pixels: Pixels, *, frames: int | None = None, photometric: str | None = None, **elements: Any) -> Dataset:
    """A data set of rows × columns (× 3), with the frames first if there are any."""
    shape = pixels.shape[1:] if frames is not None else pixels.shape
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    made.Rows, made.Columns = shape[:2]
    made.SamplesPerPixel = 3 if len(shape) == 3 else 1
    made.PhotometricInterpretation = photometric or ("RGB" if len(shape) == 3 else "MONOCHROME2")
    if len(shape) == 3:
        made.PlanarConfiguration = 0
    if frames is not None:
        made.NumberOfFrames = frames
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in elements.items():
        setattr(made, name, value)
    made.HighBit = made.BitsStored - 1
    made.add_new(
        "PixelData", "OB" if pixels.dtype.itemsize == 1 else "OW", pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    )
    return made


def table(entries: Sequence[int], first: int, bits: int) -> Dataset:
    """A lookup table as modality and VOI LUT sequences hold it."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", list(entries))
    return item


def dicom_bytes(made: Dataset, syntax: UID | None = None) -> bytes:
    """A data set as a file."""
    meta = made.file_meta
    meta.TransferSyntaxUID = syntax or meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    file = io.BytesIO()
    encoding = {"implicit_vr": False, "little_endian": True} if meta.TransferSyntaxUID.is_private else {}
    dcmwrite(file, made, enforce_file_format=True, **encoding)
    return file.getvalue()


def window_group(centre: float, width: float) -> Dataset:
    """A frame's own functional group, as in enhanced multi-frame files: its window, and what else is said of it."""
    group = Dataset()
    for name, elements in {
        "FrameVOILUTSequence": {"WindowCenter": centre, "WindowWidth": width},
        "FrameContentSequence": {"StackID": "1", "DimensionIndexValues": [1, 1]},
        "PlanePositionSequence": {"ImagePositionPatient": [0, 0, 0]},
        "PixelValueTransformationSequence": {"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "US"},
    }.items():
        item = Dataset()
        item.update(elements)
        setattr(group, name, [item])
    return group


def compressed(made: Dataset, syntax: UID, frames: Sequence[bytes], *, table: bool = True) -> bytes:
    """A file whose pixels are codestreams, one a frame, with a table of their offsets before them or without."""
    made.add_new("PixelData", "OB", encapsulate(list(frames), has_bot=table))
    made["PixelData"].is_undefined_length = True
    return dicom_bytes(made, syntax)


def shipped(name: str) -> bytes:
    """One of the files that pydicom itself installs."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), name
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()
