"""One frame of many in a DICOM file, compressed or not, in files of today and of old."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from brightspark.core.errors import InputError
from brightspark.vision import dicom
from tests.vision.dicom_reading import MAX_PIXELS, RAMP, Counting, grey, linear, shown
from tests.vision.dicom_writing import compressed, dicom_bytes, dicom_set, shipped
from tests.vision.pictures import picture

# pydicom's words about odd files are for whoever reads one by hand; pytest sets its own filters over ours.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


class TestFrames:
    FRAMES = np.stack([np.full((5, 7), value, np.uint16) for value in (100, 200, 300)])

    @pytest.mark.parametrize(("frame", "value"), [(None, 100), (math.nan, 100), (0, 100), (1, 200), (2.0, 300)])
    def test_by_number(self, frame: float | None, value: int) -> None:
        content = dicom_bytes(dicom_set(self.FRAMES, frames=3, WindowCenter=200, WindowWidth=401))
        assert set(grey(content, frame).ravel()) == {round(linear(value, 200, 401))}

    @pytest.mark.parametrize("frame", [3, -1, 0.5, math.inf])
    def test_one_that_is_not_there(self, frame: float) -> None:
        content = dicom_bytes(dicom_set(self.FRAMES, frames=3))
        with pytest.raises(InputError, match=r"no frame .*: the file has 3 frames, numbered from 0"):
            grey(content, frame)

    def test_single_bits(self) -> None:
        """Frames of a segmentation begin in the middle of a byte."""
        bits = np.random.default_rng(0).integers(0, 2, (3, 5, 7), dtype=np.uint8)
        made = dicom_set(bits, frames=3, BitsAllocated=1, BitsStored=1)
        made.PixelData = np.packbits(bits.ravel(), bitorder="little").tobytes()
        np.testing.assert_array_equal(grey(dicom_bytes(made), 2), bits[2] * 255)

    def test_each_with_its_own_window(self) -> None:
        """Enhanced multi-frame: rescale for all, a window for each."""
        groups = []
        for centre in (100, 200, 300):
            voi, group = Dataset(), Dataset()
            voi.WindowCenter, voi.WindowWidth = centre * 2, 101
            group.FrameVOILUTSequence = [voi]
            groups.append(group)
        rescale, shared = Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 2, 0, "US"
        shared.PixelValueTransformationSequence = [rescale]
        made = dicom_set(self.FRAMES, frames=3, PerFrameFunctionalGroupsSequence=groups,
                         SharedFunctionalGroupsSequence=[shared], WindowCenter=1, WindowWidth=1)  # fmt: skip
        content = dicom_bytes(made)
        assert [grey(content, frame)[0, 0] for frame in range(3)] == [round(linear(200, 200, 101))] * 3

    def test_only_its_own_bytes_are_read(self) -> None:
        frames = np.zeros((50, 100, 100), np.uint16)
        file = Counting(dicom_bytes(dicom_set(frames, frames=50)))
        opened = dicom.open_frame(file, 30, max_pixels=MAX_PIXELS)
        assert file.count < 4_000
        opened.decode("L")
        assert file.count < 4_000 + 2 * 100 * 100


class TestCompressed:
    @pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
    @pytest.mark.parametrize("kind", ["grey", "signed", "colour"])
    def test_lossless_is_what_it_was(self, syntax: Any, kind: str) -> None:
        colour = np.asarray(picture(1, (64, 64)))
        pixels = {"grey": RAMP, "signed": RAMP.astype(np.int16) - 2048, "colour": colour}[kind]
        made = dicom_set(pixels, **({} if kind == "colour" else {"WindowCenter": 1000, "WindowWidth": 3000}))
        plain = dicom_bytes(made)
        made.compress(syntax)
        np.testing.assert_array_equal(shown(dicom_bytes(made)), shown(plain))

    def test_frames(self) -> None:
        """Each codestream is found by the table of offsets."""
        frames = np.random.default_rng(0).integers(0, 4096, (3, 64, 64), dtype=np.uint16)
        made = dicom_set(frames, frames=3, WindowCenter=2048, WindowWidth=4096)
        plain = dicom_bytes(made)
        made.compress(JPEG2000Lossless)
        for frame in range(3):
            np.testing.assert_array_equal(grey(dicom_bytes(made), frame), grey(plain, frame))

    def test_jpeg(self) -> None:
        buffer = io.BytesIO()
        picture(1, (32, 32)).save(buffer, "JPEG", quality=95)
        made = dicom_set(np.zeros((32, 32, 3), np.uint8), photometric="YBR_FULL_422")
        wanted = np.asarray(Image.open(buffer)).astype(int)
        got = shown(compressed(made, JPEGBaseline8Bit, [buffer.getvalue()]))
        assert np.abs(got - wanted).mean() < 1

    @pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm",
                                      "MR_small_bigendian.dcm", "MR_small_implicit.dcm"])  # fmt: skip
    def test_files_of_other_programs(self, name: str) -> None:
        np.testing.assert_array_equal(grey(shipped(name)), grey(shipped("MR_small.dcm")))


class TestOldFiles:
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_without_preamble_and_meta(self, syntax: Any) -> None:
        pixels = RAMP.astype(">u2") if syntax == ExplicitVRBigEndian else RAMP
        whole = dicom_bytes(dicom_set(pixels, WindowCenter=2048, WindowWidth=4096), syntax)
        wanted = grey(whole)
        group_length = int.from_bytes(whole[140:144], "little")  # (0002,0000), behind preamble, magic, tag, VR, length
        np.testing.assert_array_equal(grey(whole[144 + group_length :]), wanted)

    def test_without_preamble(self) -> None:
        whole = dicom_bytes(dicom_set(RAMP))
        np.testing.assert_array_equal(grey(whole[132:]), grey(whole))

    @pytest.mark.parametrize("start", [b"", b"\x08", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0",
                                       b"BM", b"GIF89a", b"RIFF", b"MM\0*", b"\0\0\0\x18ftyp", b"PK\3\4", b"%PDF-1.4",
                                       b"\x08\0\0\0\xff\xff\xff\xff", b"\0" * 200])  # fmt: skip
    def test_what_is_none(self, start: bytes) -> None:
        file = io.BytesIO(start + b"\x01" * 200 * bool(start))
        assert not dicom.is_dicom(file)
        assert file.tell() == 0
