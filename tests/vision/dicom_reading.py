"""Frames of DICOM files as our reader shows them, and as the standard's formulas say."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from brightspark.vision import dicom

MAX_PIXELS = 1_000_000
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def grey(content: bytes, frame: float | None = None, *, mode: str = "L", **options: Any) -> Any:
    file = io.BytesIO(content)
    assert dicom.is_dicom(file)
    opened = dicom.open_frame(file, frame, max_pixels=MAX_PIXELS, **options)
    image = opened.decode(mode)
    assert (image.size, image.mode) == (opened.size, mode)
    return np.asarray(image)


def shown(content: bytes) -> Any:
    return grey(content, mode="RGB")


def linear(x: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1, from 0 to 255."""
    if x <= centre - 0.5 - (width - 1) / 2:
        return 0
    if x > centre - 0.5 + (width - 1) / 2:
        return 255
    return ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255


def linear_exact(x: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if x <= centre - width / 2:
        return 0
    if x > centre + width / 2:
        return 255
    return ((x - centre) / width + 0.5) * 255


def sigmoid(x: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 255 / (1 + math.exp(-4 * (x - centre) / width))


def by_formula(values: Any, formula: Any, centre: float, width: float) -> Any:
    return np.array([[formula(float(value), centre, width) for value in row] for row in values])


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data
