"""Moments of videos as pictures. Knows PyAV, no torch and no Spark."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PIL import Image

from brightspark.core.errors import InputError
from brightspark.core.predictor import Opener
from brightspark.vision.film_cache import frame_at
from brightspark.vision.images import Picture

SUFFIXES = (
    ".avi",
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".m2ts",
    ".wmv",
    ".flv",
    ".3gp",
)

NO_LENGTH = (
    "how long the video is could not be told when it was listed, and so its moments are not known; it can be read now: "
    "list it again"
)

_PIXEL_BYTES = 10  # a frame of 10-bit colour, it as RGB, and Pillow's four bytes

# What display matrices (a, b, c, d) do, as Pillow calls it: quarter turns and mirrors.
_TURNS = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
_QUARTERS = (
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)

_thread = threading.local()


@contextmanager
def open_frame(path: str, seconds: float | None, open: Opener, *, max_pixels: int) -> Iterator[Picture]:
    """The frame of a video that is on display at `seconds` after its first one; without `seconds` the first.

    It looks as players show it: turned and mirrored as the file says, pixels square (a video with others is made wider
    or narrower), 8-bit RGB by FFmpeg's own conversion. High dynamic range is not mapped.

    The file stays open for the next call, which is quick where it asks for a later frame of the same video.
    Raises InputError for what is no video, for negative `seconds` and beyond the end, StorageError for what cannot be
    opened.
    """
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        raise InputError(f"{seconds} is no time in a video: seconds are 0 or more")
    frame, (width, height), matrix = frame_at(path, seconds, open, max_pixels)
    turn = _TURNS.get(matrix)  # none where it is upright, or by no quarter
    size = (height, width) if turn in _QUARTERS else (width, height)
    yield Picture(size=size, decode=partial(_decode, frame, width, turn), pixel_bytes=_PIXEL_BYTES)


def _decode(frame: VideoFrame, width: int, turn: Image.Transpose | None, mode: str) -> Image.Image:
    # One converter a thread: PyAV makes one for every frame, with threads of its own, which takes longer than its work.
    if not hasattr(_thread, "converter"):
        _thread.converter = VideoReformatter()
    image: Image.Image = _thread.converter.reformat(frame, width=width, format="rgb24", threads=1).to_image()
    if turn is not None:
        image = image.transpose(turn)
    return image if image.mode == mode else image.convert(mode)
