"""The images and the models that the benchmarks score: seeded, made once, kept outside the checkout."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SIZE = (500, 375)  # pixels, width × height: the middle of ImageNet's photographs
SEED = 0


def cache() -> Path:
    """`$BRIGHTSPARK_CACHE/bench`, or `~/.cache/brightspark/bench`."""
    base = os.environ.get("BRIGHTSPARK_CACHE")
    return (Path(base) if base else Path.home() / ".cache" / "brightspark") / "bench"


def image_folder(count: int, *, seed: int = SEED) -> Path:
    """A folder of `count` JPEGs of 500×375: crops of the samples' photographs, encoded again (quality 85 to 95).

    Image number i is the same in every folder of the same seed.
    """
    return _made_once(f"images-{count}-seed-{seed}", lambda folder: _write_crops(folder, count, seed))


def model_folder(name: str) -> Path:
    """A timm model with random weights (seed 0) in timm's `local-dir:` layout: config.json, model.safetensors."""
    return _made_once(f"model-{name}-seed-{SEED}", lambda folder: _save_model(folder, name))


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache; made beside it and renamed, so that half of one is never seen."""
    target = cache() / name
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{name}-"))
        try:
            make(folder)
            folder.rename(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return target


def _write_crops(folder: Path, count: int, seed: int) -> None:
    from PIL import Image

    from brightspark.samples import photographs

    sources = [Image.open(path).convert("RGB") for path in sorted(photographs().glob("*/*.jpg"))]
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        crop = _crop(chance.choice(sources), chance)
        crop.save(folder / f"{number:06}.jpg", quality=chance.randint(85, 95))


def _crop(source: Image.Image, chance: random.Random) -> Image.Image:
    """A crop of SIZE's proportions, 70 to 100 % of the largest that fits, scaled to SIZE."""
    width, height = source.size
    fitting = min(width / SIZE[0], height / SIZE[1]) * chance.uniform(0.7, 1.0)
    crop_width, crop_height = SIZE[0] * fitting, SIZE[1] * fitting
    left, top = chance.uniform(0, width - crop_width), chance.uniform(0, height - crop_height)
    return source.resize(SIZE, box=(left, top, left + crop_width, top + crop_height))


def _save_model(folder: Path, name: str) -> None:
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(SEED)
    save_for_hf(timm.create_model(name, pretrained=False), folder, safe_serialization=True)
