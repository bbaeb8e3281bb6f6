"""Image files to arrays: any of a few formats, bounded in pixels, upright, RGB or grey. Knows Pillow, no torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from brightspark.core.errors import InputError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")
COMPACT = ("JPEG", "PNG", "WEBP")  # of them: small, and quick to decode again and again

_MODE_BYTES = {"1": 1, "L": 1, "P": 1}  # of Pillow's memory for a pixel, and 4 in all other modes: also in RGB
_WEBP_BYTES = 12  # a pixel: libwebp's canvas, the one before, and a copy
_NUMBERS = {"F": "floating-point", "I": "32-bit or signed"}  # Pillow's modes for what only a TIFF can hold

# Pillow warns above this many pixels and refuses twice as many; here the first is an error already.
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485

# What Pillow warns of, large headers and damaged tags, is checked here or is the record's error; in a worker's log it
# would stand once for each file.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\b")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What is known of a picture before it is decoded, and how to decode it."""

    size: tuple[int, int]
    """Width and height in pixels."""

    decode: Callable[[str], Image.Image]
    """The picture upright, in the mode that is asked for: RGB or L. Raises where it is damaged."""

    pixel_bytes: int
    """Bytes a pixel that decoding holds at a time."""

    encoded: Callable[[], bytes] | None = None
    """The file as it is, where it is a compact one."""


def open_still(file: BinaryIO, frame: float | None = None, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """An image file as a picture; raises as `open_image` does, and where one of several frames but the first is meant.

    Of a file with a single frame its number may be anything: it may count the frames of what the file was made from.
    """
    image = open_image(file, max_pixels=max_pixels)
    if frame and getattr(image, "is_animated", False):
        raise InputError(f"frame {frame:g} of a {image.format} file cannot be read: only its first one can, number 0")
    return Picture(
        size=image.size,
        decode=partial(upright, image),
        pixel_bytes=_pixel_bytes(image),
        encoded=partial(_whole, file) if image.format in COMPACT else None,
    )


def _whole(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _pixel_bytes(image: Image.Image) -> int:
    """What `upright` holds at a time, in bytes a pixel: the picture as it is stored, turned, and in RGB."""
    stored = _MODE_BYTES.get(image.mode, 4)
    if image.mode == "RGB":
        converted = stored
    elif image.mode == "P" and "transparency" in image.info:
        converted = stored + 4 + 4
    else:  # 16-bit grey has three arrays on its way
        converted = stored + (7 if image.mode.startswith("I;16") else 4)
    decoder = _WEBP_BYTES if image.format == "WEBP" else 0
    return max(stored + decoder, 2 * stored if _is_turned(image) else stored, converted)


def _is_turned(image: Image.Image) -> bool:
    """Whether `upright` will turn an image, as far as that is known without decoding it."""
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would read on to the file's end
        return False
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else image.getexif()
    return bool(tags.get(ExifTags.Base.Orientation, 1) != 1)


def open_image(file: BinaryIO, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Reads an image's header; the pixels are decoded by `upright`.

    Only the formats in FORMATS are tried, whatever the file's name says.
    Raises InputError for a file that is none of them, for one with more than `max_pixels`, and for pixels that are
    measurements rather than brightness.
    """
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise InputError(
            f"this is no image that can be read: {_what(file)} ({', '.join(FORMATS)} and DICOM can)"
        ) from None
    except Image.DecompressionBombError as error:
        raise InputError(str(error)) from None
    width, height = image.size
    if width * height > max_pixels:
        raise InputError(f"the image has {width}×{height} pixels, more than the {max_pixels:,} that are allowed")
    if image.mode in _NUMBERS:
        raise InputError(
            f"the image's pixels are {_NUMBERS[image.mode]} numbers, and nothing says which of them is black and which "
            "white; convert it to 8 or 16 bits a channel"
        )
    return image


def upright(image: Image.Image, mode: str = "RGB") -> Image.Image:
    """The image's first frame as RGB or L (grey), 8 bits a channel, turned as its EXIF orientation says.

    16-bit grey keeps its upper 8 bits, as Pillow does for 16-bit colour; transparency is dropped.
    Raises OSError where the file is damaged.
    """
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # in place: a photograph that is upright already is not copied
    if image.mode == mode:
        return image
    if image.mode.startswith("I;16"):  # in either byte order, of which Pillow itself scales one only
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow would warn that it drops a palette's transparency
    return image.convert(mode)


def _what(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(16)
    return f"it starts with {start!r}" if start else "it has 0 bytes"
