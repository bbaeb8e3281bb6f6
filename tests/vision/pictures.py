"""Seeded pictures: large shapes and fine grain in many colours, so that no two look the same to a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (48, 40), mode: str = "RGB") -> Image.Image:
    """A picture of `size` (width, height) pixels."""
    random = np.random.default_rng(seed)
    shapes = Image.fromarray(random.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = random.normal(0, random.uniform(0, 40), (size[1], size[0], 3))
    pixels = np.clip(np.asarray(shapes) + grain, 0, 255).astype(np.uint8)
    made = Image.fromarray(pixels)
    if mode == "P":
        return made.quantize(64)
    if mode in ("LA", "RGBA"):
        made.putalpha(Image.fromarray(random.integers(0, 256, size[::-1], dtype=np.uint8)))
        return made.convert(mode)
    return made.convert(mode)


def save_pictures(folder: Path, count: int, *, first_seed: int = 0) -> list[str]:
    """JPEGs of 32 to 64 pixels a side; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(first_seed, first_seed + count):
        width, height = np.random.default_rng(seed).integers(32, 65, 2)
        path = folder / f"{seed:04d}.jpg"
        picture(seed, (int(width), int(height))).save(path, quality=90)
        paths.append(str(path))
    return paths
