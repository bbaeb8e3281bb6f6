"""Heat maps as PNGs: over the picture, or alone. Knows Pillow, no torch."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

OPACITY = 0.6  # of the heat where it is hottest


def draw_heat(heat: np.ndarray[Any, Any], picture: np.ndarray[Any, Any] | None = None) -> bytes:
    """A PNG of the heat, height × width and nowhere negative, scaled to its own maximum.

    Over the picture (uint8, RGB or grey), which is drawn in grey so that its colours are not taken for heat: from red
    to yellow, where it is hottest. Without a picture, the heat itself in grey: 255 where it is hottest.
    """
    hottest = heat.max()
    grey = Image.fromarray(np.round(heat / hottest * 255 if hottest > 0 else heat).astype(np.uint8))
    return _png(grey if picture is None else _overlaid(grey, picture))


def _overlaid(grey: Image.Image, picture: np.ndarray[Any, Any]) -> Image.Image:
    colours = ImageOps.colorize(grey, black="red", white="yellow")
    opacity = grey.point([round(OPACITY * value) for value in range(256)])
    return Image.composite(colours, Image.fromarray(picture).convert("L").convert("RGB"), opacity)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
