"""Moments of videos as pictures. Knows PyAV, no torch and no Spark."""

from __future__ import annotations

from contextlib import AbstractContextManager

from brightspark.core.predictor import Opener
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


def open_frame(path: str, seconds: float | None, open: Opener, *, max_pixels: int) -> AbstractContextManager[Picture]:
    """TODO."""
    raise NotImplementedError
