"""Stored pixels of a DICOM frame as a viewer shows them: 8-bit grey or RGB. Knows pydicom.

The order is the standard's (PS3.4 N.2): modality LUT, VOI LUT, and at last the inversion of MONOCHROME1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_windowing
from pydicom.valuerep import DSfloat

from brightspark.core.errors import InputError
from brightspark.vision.dicom_header import Header

Pixels = np.ndarray[Any, np.dtype[Any]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_BLOCK = 1 << 16  # pixels looked up at a time: their indices take 8 bytes each
_GROUPS = {tag_for_keyword(f"{whose}FunctionalGroupsSequence") for whose in ("Shared", "PerFrame")}
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def as_shown(
    stored: Pixels, photometric: str, header: Header, index: int, window: tuple[float, float] | None
) -> Image.Image:
    """A picture in mode L or RGB. Raises InputError for a photometric interpretation that cannot be shown."""
    dataset = _of_frame(header.dataset, index)
    if photometric.startswith("MONOCHROME"):
        grey = _grey(stored, dataset, window, little_endian=header.syntax.is_little_endian)
        return Image.fromarray(255 - grey if photometric == "MONOCHROME1" else grey)
    if photometric.startswith("PALETTE"):
        return Image.fromarray(_coloured(stored, dataset, little_endian=header.syntax.is_little_endian))
    if photometric == "RGB":
        return Image.fromarray(_upper_bits(stored, header.number("BitsStored")))
    raise InputError(
        f"the photometric interpretation {photometric!r} cannot be shown; MONOCHROME, PALETTE, RGB, YBR can"
    )


def _upper_bits(pixels: Pixels, bits: int) -> Bytes:
    """The upper 8 of so many bits, as Pillow does for 16-bit colour; fewer than 8 become the whole range."""
    if bits < 8:
        return (pixels * (255 / ((1 << bits) - 1)) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(pixels >> (bits - 8) if bits > 8 else pixels).astype(np.uint8, copy=False)


def _coloured(stored: Pixels, dataset: Dataset, *, little_endian: bool) -> Bytes:
    """Pixels by their palette. Raises InputError where there is none."""
    if "RedPaletteColorLookupTableDescriptor" not in dataset:
        raise InputError("the pixels are PALETTE COLOR, but the file has no palette")
    entries, first = (int(number) for number in dataset.RedPaletteColorLookupTableDescriptor[:2])
    last = first + (entries or 1 << 16) - 1
    if "RedPaletteColorLookupTableData" not in dataset:  # a segmented palette
        return _upper_half(apply_color_lut(np.clip(stored, first, last), dataset)[..., :3])
    # Not by pydicom's apply_color_lut: it takes big-endian tables for little-endian ones, and its indices overflow in
    # long tables of 8-bit entries (3.0.2).
    shown = np.empty((*stored.shape, 3), np.uint8)
    for channel, colour in enumerate(("Red", "Green", "Blue")):
        table = _entries(dataset[f"{colour}PaletteColorLookupTableData"].value, entries, little_endian)
        index = np.clip(stored, first, min(last, first + table.size - 1)).astype(np.int32)
        shown[..., channel] = _upper_half(table)[index - first]
    return shown


def _upper_half(entries: Pixels) -> Bytes:
    """A palette's entries as 8 bits; those of 16 may be filled with 8."""
    halves: Bytes = (entries >> 8 if entries.max(initial=0) > 255 else entries).astype(np.uint8)
    return halves


def _entries(data: Any, count: int, little_endian: bool) -> Pixels:
    """A lookup table's data: numbers, or bytes, which are one or two an entry."""
    if not isinstance(data, bytes):
        return np.asarray(data)
    words = len(data) >= 2 * (count or 1 << 16)
    return np.frombuffer(data, ("<u2" if little_endian else ">u2") if words else np.uint8)


def _of_frame(dataset: Dataset, index: int) -> Dataset:
    """The elements of one frame: enhanced multi-frame files hold rescale and window for all or for each frame apart."""
    shared = _item(dataset, "SharedFunctionalGroupsSequence", 0)
    own = _item(dataset, "PerFrameFunctionalGroupsSequence", index)
    merged = Dataset()
    merged.set_original_encoding(*dataset.original_encoding)
    # Not with the groups of all frames: pydicom goes through a sequence that it is given.
    merged.update({tag: element for tag, element in dataset.items() if tag not in _GROUPS})
    for group in (shared, own):
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            merged.update((group and _item(group, name, 0)) or {})
    return merged


def _item(dataset: Dataset, sequence: str, index: int) -> Dataset | None:
    items = dataset.get(sequence) or []
    return items[index] if index < len(items) else None


def _grey(stored: Pixels, dataset: Dataset, window: tuple[float, float] | None, *, little_endian: bool) -> Bytes:
    """Grey values of a frame, 0 the darkest before any inversion."""
    extremes = _extremes(stored, dataset)
    if stored.dtype.kind == "f" or stored.dtype.itemsize > 2:
        return _shades(stored, dataset, window, extremes, little_endian)
    # All values that there can be are far fewer than pixels: each is worked out once.
    first, last = int(stored.min()), int(stored.max())
    table = _shades(np.arange(first, last + 1), dataset, window, extremes, little_endian)
    return _looked_up(stored, table, first)


def _looked_up(stored: Pixels, table: Bytes, first: int) -> Bytes:
    shown = np.empty(stored.shape, np.uint8)
    pixels, shades = stored.reshape(-1), shown.reshape(-1)
    for start in range(0, pixels.size, _BLOCK):
        block = pixels[start : start + _BLOCK].astype(np.intp)
        block -= first
        np.take(table, block, out=shades[start : start + _BLOCK], mode="clip")
    return shown


def _extremes(stored: Pixels, dataset: Dataset) -> tuple[float, float]:
    """The frame's lowest and highest stored value, but for padding. Raises InputError where there is no number."""
    counted = np.isfinite(stored) if stored.dtype.kind == "f" else np.True_
    padding = _number(dataset, "PixelPaddingValue")
    if padding is not None:
        limit = _number(dataset, "PixelPaddingRangeLimit")
        ends = sorted((padding, padding if limit is None else limit))
        picture = counted & ((stored < ends[0]) | (stored > ends[1]))
        counted = picture if picture.any() else counted
    if not np.any(counted):
        raise InputError("no pixel of the frame is a finite number")
    values = stored if counted is np.True_ else stored[counted]
    return values.min(), values.max()


def _shades(
    values: Pixels,
    dataset: Dataset,
    window: tuple[float, float] | None,
    extremes: tuple[float, float],
    little_endian: bool,
) -> Bytes:
    """The grey value of each stored value."""
    rescaled = apply_modality_lut(values, _modality(dataset))
    table = _item(dataset, "VOILUTSequence", 0)
    if window is None and table is not None and "LUTData" in table and "LUTDescriptor" in table:
        return _by_table(rescaled, table, little_endian)
    rule = _window_rule(dataset, window)
    if rule is None:
        inside = rescaled[(values >= extremes[0]) & (values <= extremes[1])]
        rule = _rule(float(inside.min()), float(inside.max()))
        if rule is None:
            return np.zeros(values.shape, np.uint8)  # one grey value only
    shown: Bytes = np.rint(np.nan_to_num(apply_windowing(rescaled, rule))).astype(np.uint8)
    return shown


def _modality(dataset: Dataset) -> Dataset:
    """Only what the modality LUT module says, and of that only what can be applied: elements may be there but empty."""
    said = Dataset()
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    if dataset.get("ModalityLUTSequence"):
        said.ModalityLUTSequence = dataset.ModalityLUTSequence
        said.set_original_encoding(*dataset.original_encoding)
    elif slope is not None and intercept is not None:
        said.RescaleSlope, said.RescaleIntercept = _decimal(slope), _decimal(intercept)
    return said


def _window_rule(dataset: Dataset, window: tuple[float, float] | None) -> Dataset | None:
    """What `window` or the file's first window says to pydicom; None where neither can be applied."""
    if window is not None:
        return _windowing(*window, "LINEAR")
    centre, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if centre is None or width is None or width <= 0:
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    # LINEAR needs a width of 1 or more; narrower ones come with floating-point values, and mean what they say.
    narrow = function == "LINEAR" and width < 1
    return _windowing(centre, width, "LINEAR_EXACT" if narrow else function if function in _FUNCTIONS else "LINEAR")


def _rule(lowest: float, highest: float) -> Dataset | None:
    """The window from the lowest value to the highest."""
    return _windowing((lowest + highest) / 2, highest - lowest, "LINEAR_EXACT") if highest > lowest else None


def _windowing(centre: float, width: float, function: str) -> Dataset:
    """A data set whose window pydicom maps to 0 … 255: it says nothing of rescale, which is done before."""
    rule = Dataset()
    rule.PhotometricInterpretation = "MONOCHROME2"
    rule.BitsStored, rule.PixelRepresentation = 8, 0
    rule.WindowCenter, rule.WindowWidth = _decimal(centre), _decimal(width)
    rule.VOILUTFunction = function
    return rule


def _by_table(values: Pixels, table: Dataset, little_endian: bool) -> Bytes:
    """Values by a VOI LUT. Not by pydicom's apply_voi, whose indices overflow in tables of 8-bit entries (3.0.2)."""
    entries, first, bits = (int(number) for number in table.LUTDescriptor)
    shades = _entries(table.LUTData, entries, little_endian)
    last = min(entries or 1 << 16, shades.size) - 1
    index = np.clip(np.nan_to_num(np.rint(values)) - first, 0, last).astype(np.intp)
    shown: Bytes = np.rint(np.minimum(shades / ((1 << bits) - 1), 1.0) * 255).astype(np.uint8)[index]
    return shown


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of an element as a finite number; None where there is none."""
    value = dataset.get(keyword)
    if isinstance(value, MultiValue):
        value = next(iter(value), None)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _decimal(number: float) -> DSfloat:
    """A number as DICOM's decimal string, which is short, without losing the number's own digits."""
    return DSfloat(number, auto_format=True)
