"""What a DICOM file says of itself before its pixels. Knows pydicom."""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO, cast

from pydicom import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from brightspark.core.errors import InputError, StorageError, one_line
from brightspark.vision.dicom_deflate import inflated
from brightspark.vision.dicom_fragments import Places, find_frames
from brightspark.vision.stored import Readable, StoredFile

# pydicom says each oddity of each file twice, as a warning and into its log; a record's own reason is in `error`.
# For the whole process, since files are read in several threads and warnings.catch_warnings is not for those.
warnings.filterwarnings("ignore", module=r"pydicom\b")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

MAX_HEADER_BYTES = 128 << 20  # of the elements that are asked for: tables of a frame's colours and offsets, texts
_PARSED = 40  # bytes of memory for one of a header: 38 were measured with the groups of 5,000 frames

_PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}

FRAME_TAGS = tuple(
    Tag(keyword)
    for keyword in (
        "SOPClassUID", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
        "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
        "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "RescaleIntercept", "RescaleSlope",
        "ModalityLUTSequence", "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
        "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
        "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData",
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
    )
)  # fmt: skip
"""All that showing a frame asks for; a header's other elements are skipped, however large they are."""


@dataclass(frozen=True)
class Header:
    """A data set up to its pixels, and where those are. Several threads may read frames by one."""

    dataset: Dataset
    syntax: UID
    file: StoredFile
    """Where the pixels are read from: the file, or its inflated data set."""
    pixels: str | None
    """The keyword of the element that holds the pixels; None where there is none."""
    pixels_at: int
    pixels_length: int | None
    """Bytes; None where they come in fragments."""
    pixels_type: str | None
    """The value representation, where the file names it."""
    read_bytes: int
    """Of the file, for the data set."""
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Whoever reads the file has it meanwhile."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height. Raises InputError for a data set that is no picture."""
        if self.pixels is None or "Rows" not in self.dataset or "Columns" not in self.dataset:
            raise InputError(self._no_picture())
        return self.number("Columns"), self.number("Rows")

    @property
    def frames(self) -> int:
        """How many frames there are; a file that does not say so has one."""
        stated = self.dataset.get("NumberOfFrames")
        return 1 if stated in (None, "", 0) else self.number("NumberOfFrames")

    @cached_property
    def places(self) -> Places:
        """Where compressed frames are; found once, by who has the turn."""
        tables = (self.dataset.get("ExtendedOffsetTable"), self.dataset.get("ExtendedOffsetTableLengths"))
        return find_frames(self.file, self.pixels_at, self.frames, tables if all(tables) else None)

    @property
    def memory_bytes(self) -> int:
        """About what it takes while it is held, with what was inflated of the file."""
        return _PARSED * self.read_bytes + len(self.file.held)

    def number(self, keyword: str) -> int:
        """A whole number above 0. Raises InputError where there is none."""
        value = self.dataset.get(keyword)
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = 0
        if number < 1:
            raise InputError(f"the DICOM header's {keyword} is {value!r}; it must be a number from 1")
        return number

    def _no_picture(self) -> str:
        meta = getattr(self.dataset, "file_meta", {})
        kind = self.dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID")
        named = f"it is {UID(kind).name!r}" if kind else "it does not say what it is"
        if self.pixels is None and "Rows" in self.dataset:
            return f"this DICOM file ends before its pixels ({named}): was it cut short?"
        lacks = "pixels" if self.pixels is None else "Rows and Columns"
        return f"this DICOM file is no picture: it has no {lacks}; {named}"


def read_header(file: Readable, tags: Sequence[BaseTag]) -> Header:
    """The elements `tags` of a data set, as far as its pixels.

    Raises InputError for what is no DICOM, or damaged before the pixels, StorageError where the storage fails.
    """
    with damage_as_input_error():
        return _read_header(inflated(file if isinstance(file, StoredFile) else StoredFile(file)), tags)


@contextmanager
def damage_as_input_error() -> Iterator[None]:
    """Turns what pydicom raises for damaged bytes, which is nearly anything, into an InputError."""
    try:
        yield
    except (InputError, StorageError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"the DICOM file is damaged: {one_line(error)}") from error


def _read_header(file: StoredFile, tags: Sequence[BaseTag]) -> Header:
    pixels: dict[str, Any] = {}

    def at_pixels(tag: BaseTag, kind: str | None, length: int) -> bool:
        if tag not in _PIXELS:
            return False
        pixels.update(name=_PIXELS[tag], kind=kind, length=None if length == 0xFFFFFFFF else length)
        return True

    file.left = MAX_HEADER_BYTES
    dataset = read_partial(cast(BinaryIO, file), at_pixels, force=True, specific_tags=list(tags))
    read_bytes = MAX_HEADER_BYTES - int(file.left)
    file.left = math.inf  # the pixels are bounded by their own number
    implicit, little = dataset.original_encoding
    stated = dataset.file_meta.get("TransferSyntaxUID")
    syntax = UID(stated) if stated else _native_syntax(bool(implicit), bool(little))
    return Header(
        dataset=dataset,
        syntax=syntax,
        file=file,
        pixels=pixels.get("name"),
        # pydicom stops before the element, which begins with tag and length, or tag, type and a longer length.
        pixels_at=file.tell() + (12 if pixels.get("kind") in EXPLICIT_VR_LENGTH_32 else 8),
        pixels_length=pixels.get("length"),
        pixels_type=pixels.get("kind"),
        read_bytes=read_bytes,
    )


def _native_syntax(implicit: bool, little: bool) -> UID:
    """The uncompressed transfer syntax of a file that does not name its own, as pydicom found it to be encoded."""
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
