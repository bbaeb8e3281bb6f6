"""DICOM files to pictures, as a viewer shows them. Knows pydicom, no torch and no Spark.

pydicom is loaded when the first DICOM file is opened: workers that see none need not wait for it.
"""

from __future__ import annotations

import math
import struct
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from brightspark.core.errors import InputError
from brightspark.vision.images import Picture

if TYPE_CHECKING:
    from PIL import Image

    from brightspark.vision.dicom_header import Header

SUFFIXES = (".dcm", ".dicom")
_MAGIC_AT = 128  # bytes of preamble
_FIRST_TYPES = (b"UL", b"OB", b"CS", b"UI", b"DA", b"SH")  # of what a data set may begin with
_FIRST_LENGTH = 256  # bytes; more than any of those elements takes


def is_dicom(file: BinaryIO) -> bool:
    """Whether a file starts as DICOM part 10 says, or, as in old archives, with the data set itself.

    Leaves it at its beginning.
    """
    start = file.read(_MAGIC_AT + 4)
    file.seek(0)
    return start[_MAGIC_AT:] == b"DICM" or _starts_a_data_set(start)


def _starts_a_data_set(start: bytes) -> bool:
    """Whether the first element is a low one of group 0002 or 0008, of a type or a length that it can have."""
    if len(start) < 8:
        return False
    group, element, length = struct.unpack_from("<HHI", start)
    if start[4:6] in _FIRST_TYPES:
        return (group, element >> 8) in ((0x0002, 0), (0x0008, 0)) or start[:3] in (b"\0\x02\0", b"\0\x08\0")
    return group in (0x0002, 0x0008) and element <= 0x0018 and length % 2 == 0 and length <= _FIRST_LENGTH


def open_frame(
    file: BinaryIO, frame: float | None = None, *, max_pixels: int, window: tuple[float, float] | None = None
) -> Picture:
    """One frame of a DICOM file, the first by default; only the header is read here.

    Raises InputError for a file without pixels, and as `picture_of` does.
    """
    from brightspark.vision.dicom_header import FRAME_TAGS, read_header

    return picture_of(read_header(file, FRAME_TAGS), frame, max_pixels=max_pixels, window=window)


def picture_of(
    header: Header, frame: float | None, *, max_pixels: int, window: tuple[float, float] | None = None
) -> Picture:
    """One frame by the file's header, the first by default.

    `decode` shows it as a viewer does: modality LUT or rescale, then `window` (centre and width) or the file's first
    VOI LUT or window, or else all grey values from the frame's lowest to its highest, without pixel padding;
    MONOCHROME1 is inverted, palettes and YBR become RGB, colours of more than 8 bits keep their upper 8.

    Raises InputError for a header that makes no sense, more than `max_pixels`, a frame that is
    not there, pixel data that are cut short, and a transfer syntax that no decoder here reads.
    """
    from brightspark.vision.dicom_header import damage_as_input_error
    from brightspark.vision.dicom_pixels import check, pixel_bytes

    with damage_as_input_error():  # an element is interpreted when it is asked for
        columns, rows = header.size
        if columns * rows > max_pixels:
            raise InputError(f"the image has {columns}×{rows} pixels, more than the {max_pixels:,} that are allowed")
        index = _frame_index(frame, header.frames)
        check(header, index)
        needed = pixel_bytes(header)
    return Picture(size=(columns, rows), decode=partial(_decode, header, index, window), pixel_bytes=needed)


def _frame_index(frame: float | None, count: int) -> int:
    if frame is None or math.isnan(frame):
        return 0
    if frame in range(count):
        return int(frame)
    known = f"{count:,} frames, numbered from 0" if count > 1 else "one frame, number 0"
    raise InputError(f"there is no frame {frame:g}: the file has {known}")


def _decode(header: Header, index: int, window: tuple[float, float] | None, mode: str) -> Image.Image:
    from brightspark.vision.dicom_display import as_shown
    from brightspark.vision.dicom_header import damage_as_input_error
    from brightspark.vision.dicom_pixels import stored_pixels

    pixels, photometric = stored_pixels(header, index)
    with damage_as_input_error():
        shown = as_shown(pixels, photometric, header, index, window)
    return shown if shown.mode == mode else shown.convert(mode)
