"""Frames of films as our reader gives them out, and no film left open behind a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from brightspark.core.storage import Storage
from brightspark.vision import film_cache
from brightspark.vision.film import Film
from brightspark.vision.images import MAX_PIXELS
from brightspark.vision.video import open_frame
from tests.vision.films import number_of

STORAGE = Storage()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    film_cache.close_all()


def image_at(path: Path | str, seconds: float | None, storage: Storage = STORAGE, **options: Any) -> Image.Image:
    with open_frame(str(path), seconds, storage.open, **{"max_pixels": MAX_PIXELS, **options}) as picture:
        image = picture.decode("RGB")
        assert image.size == picture.size
        return image


def number_at(path: Path | str, seconds: float | None, storage: Storage = STORAGE) -> int:
    return number_of(image_at(path, seconds, storage))


def film_of(path: Path) -> Film:
    return Film(path.open("rb"))
