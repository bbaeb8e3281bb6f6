"""A record's picture, whatever it is in: an image file, a DICOM's frame, a moment of a video. Knows no torch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from brightspark.core.errors import InputError
from brightspark.core.predictor import Record, Work
from brightspark.vision import dicom, images, video
from brightspark.vision.images import Picture
from brightspark.vision.settings import PictureSettings


@contextmanager
def open_picture(record: Record, work: Work, settings: PictureSettings) -> Iterator[Picture]:
    """The picture that a record names: its first column holds a path or bytes, its second, if any, says which frame.

    A path that ends like a video is one; else the file's first bytes tell what it is, whatever its name says.
    Raises InputError for what is no picture, StorageError for what cannot be opened.
    """
    source, *frame = record.values()
    if source is None:
        raise InputError("there is no image: the value is null")
    moment = frame[0] if frame else None
    if isinstance(source, str) and source.lower().endswith(video.SUFFIXES):
        with video.open_frame(source, moment, work.open, max_pixels=settings.max_pixels) as picture:
            yield picture
        return
    with _opened(source, work) as file:
        yield _in_file(file, moment, settings)


def _opened(source: str | bytes, work: Work) -> BinaryIO:
    """A DICOM's frame is read by itself, so that it does not matter how large the file is."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return work.open(source, whole=not source.lower().endswith(dicom.SUFFIXES))


def _in_file(file: BinaryIO, frame: Any, settings: PictureSettings) -> Picture:
    if dicom.is_dicom(file):
        return dicom.open_frame(file, frame, max_pixels=settings.max_pixels, window=settings.window)
    return images.open_still(file, max_pixels=settings.max_pixels)
