"""Pictures whose label is their colour: what a small network learns in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# Of an ImageClassifier that learns them.
LEARNS_COLOURS: dict[str, Any] = {
    "pretrained": False, "image_size": 32, "batch_size": 16, "learning_rate": 3e-3, "validation_share": 0.3,
    "loader_workers": 0, "precision": "float32",
}  # fmt: skip
COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


def coloured(label: str, seed: int, size: tuple[int, int] = (40, 36)) -> Image.Image:
    """A noisy picture of about that colour."""
    random = np.random.default_rng([seed, *COLOURS[label]])
    tint = np.array(COLOURS[label]) + random.normal(0, 25, 3)
    pixels = tint + random.normal(0, 45, (size[1], size[0], 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def save_coloured(folder: Path, each: int, *, first_seed: int = 0) -> Path:
    """So many JPEGs of each colour, in their labels' folders."""
    for label in COLOURS:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for seed in range(first_seed, first_seed + each):
            coloured(label, seed).save(folder / label / f"{seed:04d}.jpg", quality=92)
    return folder
