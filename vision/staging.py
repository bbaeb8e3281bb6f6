"""Pictures as training reads them, again and again: small files, each found to be whole. Knows Pillow, no torch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from PIL import Image

from brightspark.core.errors import InputError
from brightspark.core.predictor import Predictor, Record, Work
from brightspark.core.settings import ScoringSettings
from brightspark.vision.images import Picture, open_still
from brightspark.vision.settings import ReadingSettings
from brightspark.vision.sources import open_picture

STAGED = pa.struct([("content", pa.binary())])
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class StagingSettings(ReadingSettings, ScoringSettings):
    """How pictures are read for training."""

    short_side: int = 448
    """Pixels that the shorter side of a staged picture has at most."""

    device: str = "cpu"
    mode: str = "RGB"
    """RGB or L (grey): what the network takes."""


def load(folder: Path, device: str, settings: StagingSettings) -> Predictor:
    """The engine's predictor that makes each picture the file that training reads, with no network in it.

    A JPEG, PNG or WebP that is small enough keeps its bytes; a larger picture becomes a JPEG of quality 95 with the
    shorter side of `short_side`; what is small but in another format becomes a PNG. Each is decoded whole, so that a
    damaged one is found once, here, and not in every epoch.
    """

    def split(record: Record, work: Work) -> Iterator[bytes]:
        with open_picture(record, work, settings) as picture:
            width, height = picture.size
            _check_shape(width, height, settings)
            with work.room(picture.pixel_bytes * width * height):
                content = staged(picture, settings)
        yield content

    return Predictor(
        columns=(settings.input_col or "path",),
        answer_type=STAGED,
        split=split,
        prepare=list,
        predict=lambda contents: [{"content": content} for content in contents],
        batch_cost=settings.batch_size,
    )


def _check_shape(width: int, height: int, settings: StagingSettings) -> None:
    """Raises InputError for one so narrow that scaling its shorter side up would take more than `max_pixels`."""
    scaled = int(width * height * (settings.short_side / max(1, min(width, height))) ** 2)
    if min(width, height) < settings.short_side and scaled > settings.max_pixels:
        raise InputError(
            f"the image has {width}×{height} pixels: scaled to {settings.short_side} on its shorter side it would have "
            f"{scaled:,}, more than the {settings.max_pixels:,} that are allowed"
        )


def staged(picture: Picture, settings: StagingSettings) -> bytes:
    """A picture as the file that training reads; raises where it is damaged."""
    if picture.encoded is not None and min(picture.size) <= settings.short_side:
        content = picture.encoded()
        open_still(io.BytesIO(content), max_pixels=settings.max_pixels).decode(settings.mode)
        return content
    return _encoded(picture.decode(settings.mode), settings.short_side)


def _encoded(image: Image.Image, short_side: int) -> bytes:
    file = io.BytesIO()
    scale = short_side / min(image.size)
    if scale >= 1:
        image.save(file, "PNG", compress_level=1)
        return file.getvalue()
    width, height = (max(1, round(side * scale)) for side in image.size)
    smaller = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    smaller.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()
