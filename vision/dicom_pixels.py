"""The stored pixels of one frame of a DICOM file, whatever the transfer syntax. Knows pydicom."""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import numpy as np
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import (
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from brightspark.core.errors import InputError, one_line
from brightspark.vision import dicom_decoder
from brightspark.vision.dicom_fragments import read_frame
from brightspark.vision.dicom_header import Header

Pixels = np.ndarray[Any, np.dtype[Any]]

_START_OF_IMAGE, _END_OF_IMAGE, _PADDING_BYTES = b"\xff\xd8", b"\xff\xd9", 32
_SPARE_BYTES = 1 << 20  # for pictures that compression makes larger
# Of a codestream that was cut GDCM makes a picture without a word, and pyjpegls takes many seconds.
_UNCHECKED = (*JPEGLSTransferSyntaxes, JPEGLossless, JPEGLosslessSV1)
_LIBJPEG_HINT = "; `pip install pylibjpeg-libjpeg` (licensed under the GPL) adds a decoder for 12-bit JPEG"


def check(header: Header, index: int) -> None:
    """Raises InputError where it is known before decoding that a frame cannot be decoded."""
    try:
        decoder = get_decoder(header.syntax)
    except NotImplementedError:
        name = header.syntax.name if header.syntax.name != header.syntax else "unknown or private"
        raise InputError(
            f"no decoder reads the DICOM transfer syntax {header.syntax} ({name}): convert the file, for example by "
            "dcmtk's dcmdjpeg or gdcmconv --raw"
        ) from None
    if header.syntax.is_encapsulated:
        if not decoder.is_available:
            missing = "; ".join(decoder.missing_dependencies)
            raise InputError(f"no decoder for {header.syntax.name} is installed: {missing}")
        return
    if header.pixels_length is None:
        raise InputError(f"the pixels are compressed, but the transfer syntax says {header.syntax.name}")
    _check_length(header, index)


def _check_length(header: Header, index: int) -> None:
    """Uncompressed frames lie one after the other: the last byte of this one must be there."""
    frame = _frame_bytes(header)
    wanted = math.ceil(frame * (index + 1))
    with header.turn:
        end = header.file.seek(0, io.SEEK_END)
    held = min(header.pixels_length or 0, end - header.pixels_at)
    if held < wanted:
        raise InputError(
            f"the pixel data are cut short or the header is wrong: {max(held, 0):,} bytes, where {wanted:,} are needed"
        )
    photometric = header.dataset.get("PhotometricInterpretation")
    if photometric == "YBR_FULL_422" and (header.pixels_length or 0) >= 1.5 * frame * header.frames:
        raise InputError("the pixel data are a third too long for YBR_FULL_422: the header must mean RGB or YBR_FULL")


def stored_pixels(header: Header, index: int) -> tuple[Pixels, str]:
    """A frame as it is stored (rows × columns, or rows × columns × 3; YBR as RGB), and its photometric interpretation.

    Raises InputError for pixels that cannot be decoded.
    """
    try:
        return _compressed(header, index) if header.syntax.is_encapsulated else _uncompressed(header, index)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, InputError) else one_line(error)
        hint = _LIBJPEG_HINT if "12-bit" in reason and header.syntax in JPEGTransferSyntaxes else ""
        raise InputError(f"the {header.syntax.name} pixels cannot be decoded: {reason}{hint}") from error


def _uncompressed(header: Header, index: int) -> tuple[Pixels, str]:
    if _bits(header) == 1 and _samples(header) == 1:
        return _single_bits(header, index), str(header.dataset.get("PhotometricInterpretation"))
    frame = _frame_bytes(header)
    content = _read(header, header.pixels_at + int(frame * index), math.ceil(frame))
    pixels, found = get_decoder(header.syntax).as_array(content, index=0, **options(header))
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False), str(found["photometric_interpretation"])


def _single_bits(header: Header, index: int) -> Pixels:
    """A frame of one bit a pixel, which may begin within a byte; pydicom 3.0.2 reads too few bytes of some of those."""
    columns, rows = header.size
    first_byte, first_bit = divmod(index * columns * rows, 8)
    content = _read(header, header.pixels_at + first_byte, (first_bit + columns * rows + 7) // 8)
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    return bits[first_bit:][: columns * rows].reshape(rows, columns)


def _read(header: Header, start: int, size: int) -> bytes:
    with header.turn:
        header.file.seek(start)
        return header.file.read(size)


def _compressed(header: Header, index: int) -> tuple[Pixels, str]:
    with header.turn:  # a compressed frame is not many times larger than it is decoded
        frame = read_frame(header.file, header.places, index, 2 * math.ceil(_frame_bytes(header)) + _SPARE_BYTES)
    if get_decoder(header.syntax).available_plugins == ("pydicom",):  # RLE by pure Python, which cannot crash
        return dicom_decoder.decoded(frame, options(header))
    if header.syntax != RLELossless:  # it has no size of its own
        _check_codestream(frame, header)
    return dicom_decoder.decode_apart(frame, options(header))


def pixel_bytes(header: Header) -> int:
    """What decoding and showing a frame holds at a time, in bytes a pixel: an upper bound."""
    dataset = header.dataset
    photometric = str(dataset.get("PhotometricInterpretation") or "")
    stored = max(1, _bits(header) // 8) * _samples(header)
    copies = 6 if header.syntax.is_encapsulated else 3
    if photometric.startswith("MONOCHROME"):  # up to 16 bits by a table; more, and floats, as float64 several times
        work = 8 if _bits(header) <= 16 else 64
    else:  # YBR becomes RGB as float32
        work = 40 if photometric.startswith(("YBR", "PALETTE")) else 8
    return copies * stored + work


def options(header: Header) -> dict[str, Any]:
    """What pydicom's decoders are told of the pixels: plain numbers and names, which also go to another process."""
    held = as_pixel_options(header.dataset)
    held.pop("extended_offsets", None)
    plain = {name: _plain(value) for name, value in held.items() if value is not None}
    if _samples(header) > 1:
        plain.setdefault("planar_configuration", 0)  # what nearly all files have, and what compressed ones ignore
    plain["number_of_frames"] = 1
    if header.syntax.is_encapsulated:
        return {**plain, "transfer_syntax_uid": str(header.syntax)}
    return {**plain, "pixel_keyword": header.pixels, "pixel_vr": header.pixels_type}


def _plain(value: Any) -> int | str:
    return str(value) if isinstance(value, str) else int(value)


def _check_codestream(frame: bytes, header: Header) -> None:
    """What decoders do not check: a small picture's header must not hide a huge one, and the end must be there."""
    if header.syntax in _UNCHECKED and _END_OF_IMAGE not in frame[-_PADDING_BYTES:]:
        raise InputError("their codestream has no end: it is cut short")
    columns, rows = header.size
    inside = _codestream_size(frame)
    if inside != (columns, rows):
        found = f"{inside[0]}×{inside[1]}" if inside else "names no size of its own, it is damaged"
        raise InputError(f"the header says {columns}×{rows} pixels, the compressed picture itself {found}")


def _codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height by a JPEG, JPEG-LS or JPEG 2000 codestream's own header; None where it has none."""
    if not frame.startswith(_START_OF_IMAGE):
        start = frame.find(b"\xff\x4f\xff\x51")  # JPEG 2000's start of codestream and SIZ, perhaps in a JP2 file
        if start < 0 or len(frame) < start + 24:
            return None
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        return right - left, bottom - top
    at = len(_START_OF_IMAGE)
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4])
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):  # a start of frame
            height, width = struct.unpack_from(">2H", frame, at + 5)
            return width, height
        else:
            at += 2 + length
    return None


def _frame_bytes(header: Header) -> float:
    """What a frame takes uncompressed; not a whole number where pixels are single bits."""
    columns, rows = header.size
    size = columns * rows * _samples(header) * _bits(header) / 8
    subsampled = header.dataset.get("PhotometricInterpretation") == "YBR_FULL_422" and not header.syntax.is_encapsulated
    return size * 2 / 3 if subsampled else size


def _bits(header: Header) -> int:
    return header.number("BitsAllocated")


def _samples(header: Header) -> int:
    return header.number("SamplesPerPixel")
