"""One frame of a DICOM file as a viewer shows it, by the formulas of the standard (PS3.3 C.11)."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from brightspark.core.errors import InputError, StorageError
from brightspark.vision import dicom, dicom_deflate, dicom_header
from tests.vision.dicom_writing import compressed, dicom_bytes, dicom_set, shipped, table
from tests.vision.pictures import picture

# pydicom's words about odd files are for whoever reads one by hand; pytest sets its own filters over ours.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

MAX_PIXELS = 1_000_000
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def grey(content: bytes, frame: float | None = None, *, mode: str = "L", **options: Any) -> Any:
    file = io.BytesIO(content)
    assert dicom.is_dicom(file)
    opened = dicom.open_frame(file, frame, max_pixels=MAX_PIXELS, **options)
    image = opened.decode(mode)
    assert (image.size, image.mode) == (opened.size, mode)
    return np.asarray(image)


def shown(content: bytes) -> Any:
    return grey(content, mode="RGB")


def linear(x: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1, from 0 to 255."""
    if x <= centre - 0.5 - (width - 1) / 2:
        return 0
    if x > centre - 0.5 + (width - 1) / 2:
        return 255
    return ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255


def linear_exact(x: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if x <= centre - width / 2:
        return 0
    if x > centre + width / 2:
        return 255
    return ((x - centre) / width + 0.5) * 255


def sigmoid(x: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 255 / (1 + math.exp(-4 * (x - centre) / width))


def by_formula(values: Any, formula: Any, centre: float, width: float) -> Any:
    return np.array([[formula(float(value), centre, width) for value in row] for row in values])


class TestWindow:
    @pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
    @pytest.mark.parametrize(("centre", "width"), [(2000, 1000), (40, 400), (0.5, 1), (2048.25, 4095.5)])
    def test_functions(self, function: str | None, centre: float, width: float) -> None:
        elements = {"VOILUTFunction": function} if function else {}
        made = dicom_set(RAMP, WindowCenter=centre, WindowWidth=width, **elements)
        formula = {"LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}.get(function or "", linear)
        wanted = by_formula(RAMP, formula, centre, width)
        np.testing.assert_allclose(grey(dicom_bytes(made)), wanted, atol=0.51)

    @pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2.5, 10), (-1, 4095), (0.001, 0)])
    def test_after_rescale(self, slope: float, intercept: float) -> None:
        centre, width = 1000 * slope + intercept, abs(800 * slope) + 1
        made = dicom_set(RAMP, RescaleSlope=slope, RescaleIntercept=intercept, WindowCenter=centre, WindowWidth=width)
        wanted = by_formula(RAMP.astype(float) * slope + intercept, linear, centre, width)
        np.testing.assert_allclose(grey(dicom_bytes(made)), wanted, atol=0.51)

    def test_the_setting_overrides_the_files(self) -> None:
        elements = {"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"}
        made = dicom_set(RAMP, VOILUTSequence=[table([0, 255], 0, 8)], **elements)
        np.testing.assert_allclose(
            grey(dicom_bytes(made), window=(2000.0, 1000.0)), by_formula(RAMP, linear, 2000, 1000), atol=0.51
        )

    def test_the_first_of_several(self) -> None:
        made = dicom_set(RAMP, WindowCenter=[40, 2000], WindowWidth=[400, 1000])
        np.testing.assert_allclose(grey(dicom_bytes(made)), by_formula(RAMP, linear, 40, 400), atol=0.51)

    @pytest.mark.parametrize("width", [0, -5, None])
    def test_none_that_can_be_applied(self, width: float | None) -> None:
        """From the lowest value to the highest."""
        made = dicom_set(RAMP[10:20], WindowCenter=40, WindowWidth=width)
        wanted = (RAMP[10:20] - 640.0) / (1279 - 640) * 255
        np.testing.assert_allclose(grey(dicom_bytes(made)), wanted, atol=0.51)

    def test_a_window_narrower_than_one(self) -> None:
        made = dicom_set(RAMP, RescaleSlope=0.001, RescaleIntercept=0, WindowCenter=2, WindowWidth=0.5)
        np.testing.assert_allclose(grey(dicom_bytes(made)), by_formula(RAMP * 0.001, linear_exact, 2, 0.5), atol=0.51)


class TestGrey:
    def test_monochrome1_is_inverted_at_last(self) -> None:
        elements = {"WindowCenter": 2000, "WindowWidth": 1000, "RescaleSlope": 1, "RescaleIntercept": -10}
        one = grey(dicom_bytes(dicom_set(RAMP, photometric="MONOCHROME1", **elements)))
        two = grey(dicom_bytes(dicom_set(RAMP, photometric="MONOCHROME2", **elements)))
        np.testing.assert_array_equal(one, 255 - two)
        assert one[0, 0] == 255

    @pytest.mark.parametrize("limit", [None, 4])
    def test_padding_does_not_count(self, limit: int | None) -> None:
        values = np.array([[0, 1, 4], [1000, 1500, 2000]], np.uint16)
        elements = {"PixelPaddingRangeLimit": limit} if limit is not None else {}
        got = grey(dicom_bytes(dicom_set(values, PixelPaddingValue=0, **elements)))
        lowest = 1 if limit is None else 1000
        wanted = np.clip((values - float(lowest)) / (2000 - lowest), 0, 1) * 255
        np.testing.assert_allclose(got, wanted, atol=0.51)

    def test_one_value_only(self) -> None:
        assert grey(dicom_bytes(dicom_set(np.full((4, 4), 7, np.uint16)))).max() == 0

    def test_12_bits_in_16(self) -> None:
        """What stands in the unused bits does not count."""
        dirty = RAMP | np.uint16(0xA000)
        made = dicom_set(dirty, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
        np.testing.assert_allclose(grey(dicom_bytes(made)), by_formula(RAMP, linear, 2048, 4096), atol=0.51)

    def test_signed_12_bits(self) -> None:
        signed = RAMP.astype(np.int16) - 2048
        made = dicom_set(signed & 0x0FFF, BitsStored=12, PixelRepresentation=1, WindowCenter=0, WindowWidth=1000)
        np.testing.assert_allclose(grey(dicom_bytes(made)), by_formula(signed, linear, 0, 1000), atol=0.51)

    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian,
                                        DeflatedExplicitVRLittleEndian])  # fmt: skip
    def test_encodings(self, syntax: Any) -> None:
        signed = RAMP.astype(np.int16) - 2048
        stored = signed.astype(">i2") if syntax == ExplicitVRBigEndian else signed
        made = dicom_set(stored, PixelPaddingValue=-2048)  # the lowest value that is no padding is black
        wanted = np.clip((signed + 2047.0) / (2047 + 2047), 0, 1) * 255
        np.testing.assert_allclose(grey(dicom_bytes(made, syntax)), wanted, atol=0.51)

    def test_32_bits(self) -> None:
        values = RAMP.astype(np.uint32) * 100_000
        got = grey(dicom_bytes(dicom_set(values, RescaleSlope=0.5, RescaleIntercept=3)))
        np.testing.assert_allclose(got, RAMP / 4095 * 255, atol=0.51)

    def test_floating_point(self) -> None:
        values = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
        values[0, 1] = np.nan
        made = dicom_set(values)
        del made.PixelData, made.BitsStored, made.PixelRepresentation, made.HighBit
        made.FloatPixelData = values.tobytes()
        np.testing.assert_allclose(grey(dicom_bytes(made)), np.nan_to_num((values + 1) / 2 * 255), atol=0.51)

    def test_voi_table_with_8_bit_entries(self) -> None:
        """pydicom's own function takes the index modulo 256 here."""
        entries = table([value >> 4 for value in range(4096)], 0, 8)
        made = dicom_set(RAMP, VOILUTSequence=[entries], WindowCenter=1, WindowWidth=1)
        np.testing.assert_array_equal(grey(dicom_bytes(made)), RAMP >> 4)

    def test_voi_table_over_rescaled_values(self) -> None:
        """Values before the table's first get its first entry, those behind its last the last."""
        entries = table([257 * (255 - value) for value in range(256)], -1000, 16)
        elements = {"RescaleSlope": 1, "RescaleIntercept": -1024, "PixelRepresentation": 1}
        made = dicom_set(RAMP, VOILUTSequence=[entries], **elements)
        wanted = 255 - np.clip(RAMP.astype(int) - 1024 + 1000, 0, 255)
        np.testing.assert_array_equal(grey(dicom_bytes(made)), wanted)

    def test_modality_table(self) -> None:
        entries = table([4095 - value for value in range(4096)], 0, 16)
        entries.ModalityLUTType = "US"
        made = dicom_set(RAMP, ModalityLUTSequence=[entries], WindowCenter=1000, WindowWidth=500)
        wanted = by_formula(4095.0 - RAMP, linear, 1000, 500)
        np.testing.assert_allclose(grey(dicom_bytes(made)), wanted, atol=0.51)

    def test_elements_that_are_there_but_empty(self) -> None:
        made = dicom_set(RAMP, RescaleSlope=None, RescaleIntercept=None, WindowCenter=None, WindowWidth=None,
                         PixelPaddingValue=None, NumberOfFrames=None)  # fmt: skip
        np.testing.assert_allclose(grey(dicom_bytes(made)), RAMP / 4095 * 255, atol=0.51)


class TestColour:
    def test_rgb(self) -> None:
        wanted = np.asarray(picture(1, (30, 20)))
        np.testing.assert_array_equal(shown(dicom_bytes(dicom_set(wanted))), wanted)

    def test_by_plane(self) -> None:
        wanted = np.asarray(picture(1, (30, 20)))
        made = dicom_set(wanted, PlanarConfiguration=1)
        made.PixelData = np.ascontiguousarray(wanted.transpose(2, 0, 1)).tobytes()
        np.testing.assert_array_equal(shown(dicom_bytes(made)), wanted)

    @pytest.mark.parametrize(("bits", "scale"), [(16, 257), (12, 16)])
    def test_more_than_8_bits(self, bits: int, scale: int) -> None:
        wanted = np.asarray(picture(1, (30, 20)))
        made = dicom_set(wanted.astype(np.uint16) * scale, BitsStored=bits)
        np.testing.assert_array_equal(shown(dicom_bytes(made)), wanted)

    def test_ybr_full(self) -> None:
        """PS3.3 C.7.6.3.1.2: the same colours as JPEG's."""
        rgb = picture(2, (30, 20))
        ybr = np.asarray(rgb.convert("YCbCr"))
        wanted = np.asarray(Image.fromarray(ybr, "YCbCr").convert("RGB")).astype(int)
        got = shown(dicom_bytes(dicom_set(ybr, photometric="YBR_FULL")))
        np.testing.assert_allclose(got, wanted, atol=1)

    def test_ybr_full_422(self) -> None:
        """Two pixels share one colour."""
        ybr = np.array([[[100, 90, 200], [150, 90, 200]]], np.uint8)
        made = dicom_set(ybr, photometric="YBR_FULL_422")
        made.PixelData = bytes([100, 150, 90, 200])
        wanted = np.asarray(Image.fromarray(ybr, "YCbCr").convert("RGB")).astype(int)
        np.testing.assert_allclose(shown(dicom_bytes(made)), wanted, atol=1)

    @pytest.mark.parametrize("big", [False, True])
    def test_palette_of_16_bits(self, big: bool) -> None:
        random = np.random.default_rng(0)
        palette = random.integers(0, 256, (3, 200), dtype=np.uint8)
        values = random.integers(0, 256, (20, 30), dtype=np.uint8)
        made = dicom_set(values, photometric="PALETTE COLOR")
        for name, channel in zip(("Red", "Green", "Blue"), palette, strict=True):
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [200, 10, 16])
            entries = (channel.astype(np.uint16) * 256 + 17).astype(">u2" if big else "<u2")
            setattr(made, f"{name}PaletteColorLookupTableData", entries.tobytes())
        wanted = palette[:, np.clip(values.astype(int) - 10, 0, 199)].transpose(1, 2, 0)
        got = shown(dicom_bytes(made, ExplicitVRBigEndian if big else ExplicitVRLittleEndian))
        np.testing.assert_array_equal(got, wanted)

    def test_palette_of_8_bits_for_16_bit_pixels(self) -> None:
        """pydicom's own function takes the index modulo 256 here."""
        values = np.array([[0, 255, 256, 1023, 4000]], np.uint16)
        made = dicom_set(values, photometric="PALETTE COLOR")
        entries = (np.arange(1024) // 4).astype(np.uint8)
        for name in ("Red", "Green", "Blue"):
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [1024, 0, 8])
            setattr(made, f"{name}PaletteColorLookupTableData", entries.tobytes())
        assert shown(dicom_bytes(made))[0, :, 0].tolist() == [0, 63, 64, 255, 255]

    def test_colours_as_grey(self) -> None:
        image = picture(1, (30, 20))
        np.testing.assert_array_equal(grey(dicom_bytes(dicom_set(np.asarray(image)))), np.asarray(image.convert("L")))


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
        file = _Counting(dicom_bytes(dicom_set(frames, frames=50)))
        opened = dicom.open_frame(file, 30, max_pixels=MAX_PIXELS)
        assert file.count < 4_000
        opened.decode("L")
        assert file.count < 4_000 + 2 * 100 * 100


class _Counting(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


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


class TestRefused:
    """What can be known before anything is decoded is one clear line, an InputError."""

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("rtplan.dcm", "no picture: it has no pixels; it is 'RT Plan Storage'"),
            ("reportsi.dcm", "no picture: it has no pixels; it is 'Basic Text SR Storage'"),
            ("waveform_ecg.dcm", "no picture: it has no pixels; it is '12-lead ECG Waveform Storage'"),
            ("DICOMDIR", "no picture: it has no pixels; it is 'Media Storage Directory Storage'"),
            ("MR_truncated.dcm", "cut short or the header is wrong: 8,130 bytes, where 8,192 are needed"),
            ("JPGExtended.dcm", "12-bit.*pip install pylibjpeg-libjpeg"),
            ("badVR.dcm", "NumberOfFrames is '1A'; it must be a number"),
        ],
    )
    def test_files(self, name: str, reason: str) -> None:
        with pytest.raises(InputError, match=reason):
            grey(shipped(name))

    @pytest.mark.parametrize(
        ("elements", "reason"),
        [
            ({"Rows": None}, "Rows is None"),
            ({"Rows": 0}, "Rows is 0"),
            ({"Rows": 30_000, "Columns": 30_000}, "30000×30000 pixels, more than"),
            ({"Rows": 65}, "cut short or the header is wrong: 8,192 bytes, where 8,320 are needed"),
            ({"NumberOfFrames": 2}, None),
            ({"NumberOfFrames": -1}, "NumberOfFrames is '?-1"),
            ({"PhotometricInterpretation": "HSV"}, "HSV"),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "no palette"),
            ({"BitsAllocated": None}, "BitsAllocated is None"),
            ({"SamplesPerPixel": 4}, "cut short"),
        ],
    )
    def test_headers(self, elements: dict[str, Any], reason: str | None) -> None:
        content = dicom_bytes(dicom_set(RAMP, **elements))
        if reason is None:
            grey(content)
        else:
            with pytest.raises(InputError, match=reason):
                grey(content)

    def test_no_rows_at_all(self) -> None:
        made = dicom_set(RAMP)
        del made.Rows
        with pytest.raises(InputError, match="no picture: it has no Rows and Columns; it is 'Secondary Capture"):
            grey(dicom_bytes(made))

    def test_a_private_transfer_syntax(self) -> None:
        content = compressed(dicom_set(RAMP), "1.2.840.113619.5.2", [b"who knows"])  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"no decoder reads .*1\.2\.840\.113619\.5\.2 \(unknown or private\)"):
            grey(content)

    def test_a_video(self) -> None:
        content = compressed(dicom_set(RAMP), "1.2.840.10008.1.2.4.102", [b"mp4"])  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"no decoder reads .*MPEG-4"):
            grey(content)

    def test_a_small_header_over_a_huge_codestream(self) -> None:
        buffer = io.BytesIO()
        Image.new("L", (9000, 9000)).save(buffer, "JPEG")
        with pytest.raises(InputError, match=r"header says 64×64 pixels, the compressed picture itself 9000×9000"):
            grey(compressed(dicom_set(RAMP.astype(np.uint8)), JPEGBaseline8Bit, [buffer.getvalue()]))

    @pytest.mark.parametrize("stored", [(48, 32), (64, 24)])
    def test_a_codestream_of_another_shape(self, stored: tuple[int, int]) -> None:
        """As many pixels, but in other rows: shown as the header says, the picture would be sheared."""
        for syntax, kind in ((JPEGBaseline8Bit, "JPEG"), (JPEG2000Lossless, "JPEG2000")):
            buffer = io.BytesIO()
            picture(1, stored, "L").save(buffer, kind)
            made = dicom_set(np.zeros((48, 32), np.uint8))
            with pytest.raises(InputError, match=rf"header says 32×48 pixels, .* itself {stored[0]}×{stored[1]}"):
                grey(compressed(made, syntax, [buffer.getvalue()]))

    @pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, JPEGLSLossless])
    def test_a_codestream_without_a_size(self, syntax: Any) -> None:
        frame = b"\xff\xd8\0\0" + bytes(200) + b"\xff\xd9"
        with pytest.raises(InputError, match="names no size of its own"):
            grey(compressed(dicom_set(RAMP.astype(np.uint8)), syntax, [frame]))

    def test_a_size_behind_a_long_header(self) -> None:
        """A JP2 file may hold boxes of any length before its codestream."""
        buffer = io.BytesIO()
        Image.new("L", (640, 640)).save(buffer, "JPEG2000")
        content = buffer.getvalue()
        at = content.index(b"jp2c") - 4
        box = (8 + 5_000).to_bytes(4) + b"free" + bytes(5_000)
        with pytest.raises(InputError, match="itself 640×640"):
            grey(compressed(dicom_set(RAMP.astype(np.uint8)), JPEG2000Lossless, [content[:at] + box + content[at:]]))

    def test_a_deflated_bomb(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dicom_deflate, "MAX_INFLATED_BYTES", 1_000_000)
        whole = dicom_bytes(dicom_set(np.zeros((1000, 1000), np.uint16)), DeflatedExplicitVRLittleEndian)
        assert len(whole) < 10_000
        with pytest.raises(InputError, match="more than the 1,000,000 bytes"):
            grey(whole)

    def test_a_header_that_wants_too_much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its elements are read as long as they say that they are; nothing of the pixels counts."""
        monkeypatch.setattr(dicom_header, "MAX_HEADER_BYTES", 5_000)
        grey(dicom_bytes(dicom_set(RAMP)))
        with pytest.raises(InputError, match=r"wants 8,\d{3} bytes at once, where [\d,]+ are allowed"):
            grey(dicom_bytes(dicom_set(RAMP, VOILUTSequence=[table(range(4096), 0, 12)])))

    def test_storage_that_fails_is_no_damage(self) -> None:
        """In the header or at the pixels, and whatever the client library raises."""

        class ClientError(Exception):  # no OSError
            pass

        class Failing(_Counting):
            limit = 300

            def read(self, size: int | None = -1, /) -> bytes:
                if self.count > self.limit:
                    raise ClientError("the network is gone")
                return super().read(size)

        content = dicom_bytes(dicom_set(RAMP))
        with pytest.raises(StorageError, match="failed in mid-file: ClientError: the network is gone"):
            dicom.open_frame(Failing(content), max_pixels=MAX_PIXELS)
        file = Failing(content)
        file.limit = 1_000_000
        opened = dicom.open_frame(file, max_pixels=MAX_PIXELS)
        file.limit = 0
        with pytest.raises(StorageError, match="failed in mid-file: ClientError: the network is gone"):
            opened.decode("L")

    def test_damaged_deflate(self) -> None:
        whole = dicom_bytes(dicom_set(RAMP), DeflatedExplicitVRLittleEndian)
        at = whole.index(b"1.2.840.10008.1.2.1.99") + 200
        with pytest.raises(InputError, match=r"file is damaged|no picture|ends before|cut short"):
            grey(whole[:at] + b"\xff" * 50 + whole[at + 50 :])


def test_a_deflated_header_is_inflated_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads facts of thousands of files needs no pixels."""
    frames = np.random.default_rng(0).integers(0, 4096, (10, 300, 300), dtype=np.uint16)
    whole = dicom_bytes(dicom_set(frames, frames=10), DeflatedExplicitVRLittleEndian)
    assert len(whole) > 1_000_000
    monkeypatch.setattr(dicom_deflate, "MAX_INFLATED_BYTES", 200_000)
    file = _Counting(whole)
    assert dicom_header.read_header(file, dicom_header.FRAME_TAGS).frames == 10
    assert file.count < 100_000


class TestMemory:
    """What decoding takes is bounded by what the picture says beforehand."""

    @pytest.mark.parametrize("kind", ["grey", "grey compressed", "32 bits", "colour", "ybr", "palette"])
    def test_pixel_bytes(self, kind: str) -> None:
        side = 1000
        grey16 = np.random.default_rng(0).integers(0, 4096, (side, side), dtype=np.uint16)
        colour = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        if kind.startswith("grey"):
            made = dicom_set(grey16)
            if kind == "grey compressed":
                made.compress(RLELossless)
        elif kind == "32 bits":
            made = dicom_set(grey16.astype(np.uint32), WindowCenter=2000, WindowWidth=1000)
        elif kind == "palette":
            made = dicom_set(grey16 & 255, photometric="PALETTE COLOR")
            for name in ("Red", "Green", "Blue"):
                setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
                setattr(made, f"{name}PaletteColorLookupTableData", bytes(range(256)))
        else:
            made = dicom_set(colour, photometric="YBR_FULL" if kind == "ybr" else "RGB")
        file = io.BytesIO(dicom_bytes(made))
        dicom.open_frame(file, max_pixels=MAX_PIXELS).decode("RGB")  # libraries are loaded
        opened = dicom.open_frame(file, max_pixels=MAX_PIXELS)
        tracemalloc.start()
        opened.decode("RGB")
        peak = tracemalloc.get_traced_memory()[1] / side**2 + 4  # Pillow's own memory: 4 bytes a pixel of RGB
        tracemalloc.stop()
        assert peak <= opened.pixel_bytes + 1
        assert opened.pixel_bytes < 4 * peak


def test_nothing_is_said_to_the_log(tmp_path: Path) -> None:
    """In a worker, where pytest's filters are not: not by pydicom, and not by the decoders underneath."""
    names = ("badVR.dcm", "MR_truncated.dcm", "JPEG2000-embedded-sequence-delimiter.dcm", "UN_sequence.dcm",
             "emri_small_jpeg_2k_lossless_too_short.dcm", "MR_small_padded.dcm", "SC_rgb_jpeg_dcmtk.dcm")  # fmt: skip
    damaged = bytearray(shipped("MR_small_jp2klossless.dcm"))
    damaged[-2000:] = bytes(2000)
    (tmp_path / "damaged.dcm").write_bytes(damaged)
    program = """
import logging, sys
logging.basicConfig()  # as some clusters do
from brightspark.vision import dicom
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        try:
            dicom.open_frame(file, max_pixels=1_000_000).decode("RGB")
        except Exception:
            pass
"""
    paths = [get_testdata_file(name, download=False) for name in names if get_testdata_file(name, download=False)]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, paths), str(tmp_path / "damaged.dcm")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
