"""One frame of a DICOM file as a viewer shows it, by the formulas of the standard (PS3.3 C.11)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.vision.dicom_reading import RAMP, by_formula, grey, linear, linear_exact, shown, sigmoid
from tests.vision.dicom_writing import dicom_bytes, dicom_set, table
from tests.vision.pictures import picture

# pydicom's words about odd files are for whoever reads one by hand; pytest sets its own filters over ours.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


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
