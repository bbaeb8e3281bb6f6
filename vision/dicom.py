"""DICOM files to pictures, as a viewer shows them. Knows pydicom, no torch and no Spark."""

from __future__ import annotations

from typing import BinaryIO

from brightspark.vision.images import Picture

SUFFIXES = (".dcm", ".dicom")
_MAGIC_AT = 128  # bytes of preamble


def is_dicom(file: BinaryIO) -> bool:
    """Whether a file starts as DICOM part 10 says; leaves it at its beginning."""
    start = file.read(_MAGIC_AT + 4)
    file.seek(0)
    return start[_MAGIC_AT:] == b"DICM"


def open_frame(
    file: BinaryIO, frame: float | None = None, *, max_pixels: int, window: tuple[float, float] | None = None
) -> Picture:
    """TODO."""
    raise NotImplementedError
