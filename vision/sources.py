"""A record's picture, whatever it is in: an image file, a DICOM's frame, a moment of a video. Knows no torch."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from brightspark.core.errors import InputError, StorageError
from brightspark.core.predictor import Record, Work
from brightspark.vision import dicom, dicom_cache, images, video
from brightspark.vision.images import Picture
from brightspark.vision.settings import FRAME, TIME, ReadingSettings


@contextmanager
def open_picture(record: Record, work: Work, settings: ReadingSettings) -> Iterator[Picture]:
    """The picture that a record names: its first column holds a path or bytes, the others, if any, say which frame.

    A path that ends like a video is one; else the file's first bytes tell what it is, whatever its name says.
    Raises InputError for what is no picture, StorageError for what cannot be opened.
    """
    (_, source), *others = record.items()
    which = dict(others)
    if source is None:
        raise InputError("there is no image: the value is null")
    if isinstance(source, str) and source.lower().endswith(video.SUFFIXES):
        with _moment(source, which, work, settings) as picture:
            yield picture
        return
    frame = _number(which, settings.frame_col or FRAME)
    if isinstance(source, bytes):
        with io.BytesIO(source) as file:
            yield _in_bytes(file, frame, settings)
    else:
        with dicom_cache.opened(source, work.open) as found:
            yield _in_file(found, source, frame, settings)


@contextmanager
def _moment(path: str, which: Mapping[str, Any], work: Work, settings: ReadingSettings) -> Iterator[Picture]:
    name = settings.frame_col or TIME
    seconds = _number(which, name)
    if name not in which and which.get(FRAME) is not None:
        raise InputError(
            f"{FRAME!r} counts the frames of DICOM files; say when in the video, in seconds: in a column {TIME!r}, or "
            "in the one that frame_col names"
        )
    with video.open_frame(path, seconds, work.open, max_pixels=settings.max_pixels) as picture:
        # A video that cannot be opened has said why by now.
        if seconds is None and name in which:
            raise InputError(f"{name!r} is null: {video.NO_LENGTH}")
        yield picture


def _number(which: Mapping[str, Any], name: str) -> float | None:
    value = which.get(name)
    try:
        number = math.nan if value is None else float(value)
    except ValueError:
        raise InputError(f"{name!r} is {value!r}; a frame's number or its seconds are a number") from None
    return None if math.isnan(number) else number


def _in_bytes(file: BinaryIO, frame: float | None, settings: ReadingSettings) -> Picture:
    if dicom.is_dicom(file):
        return dicom.open_frame(file, frame, max_pixels=settings.max_pixels, window=settings.window)
    return images.open_still(file, frame, max_pixels=settings.max_pixels)


def _in_file(found: dicom_cache.Opened, path: str, frame: float | None, settings: ReadingSettings) -> Picture:
    """Of a DICOM one frame is read by itself, so that it does not matter how large the file is; of others it does."""
    if found.header is not None:
        return dicom.picture_of(found.header, frame, max_pixels=settings.max_pixels, window=settings.window)
    size = found.file.seek(0, io.SEEK_END)
    found.file.seek(0)
    if size > settings.max_file_bytes:
        raise StorageError(f"{path} has {size:,} bytes, more than the {settings.max_file_bytes:,} that are allowed")
    return images.open_still(found.file, frame, max_pixels=settings.max_pixels)
