"""The settings of models over images, and the shape of their answers. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.classifier_settings import ClassifierSettings
from brightspark.core.errors import SettingError
from brightspark.core.featurizer_settings import VectorSettings
from brightspark.core.settings import ScoringSettings, StorageSettings

PILLOW_MAX_PIXELS = 89_478_485  # above it Pillow warns of a decompression bomb; it refuses twice as many

FRAME, TIME = "frame", "time"  # columns that count a DICOM's frames from 0, and a video's seconds


@dataclass(frozen=True, kw_only=True)
class ReadingSettings(StorageSettings):
    """How pictures are found and read, whatever becomes of them."""

    input_col: Annotated[
        str | None, "column of encoded images (binary) or of paths (string); by default content, or path beside a text"
    ] = None
    frame_col: Annotated[
        str | None,
        "column that says which frame of a file to take: a DICOM's number from 0, or seconds into a video; by default "
        "`frame` for DICOM files and `time` for videos, where the table has them",
    ] = None
    window: Annotated[
        tuple[float, float] | None,
        "centre and width of the grey values of DICOM files, after rescale (a CT's in Hounsfield units); by default "
        "each file's own, or else from its lowest to its highest value",
    ] = None
    max_pixels: Annotated[int, "an image with more pixels is an error, before it is decoded"] = PILLOW_MAX_PIXELS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.max_pixels <= 2 * PILLOW_MAX_PIXELS:
            raise SettingError(
                f"max_pixels={self.max_pixels:,} must be between 1 and {2 * PILLOW_MAX_PIXELS:,}, where Pillow stops"
            )
        if self.window is not None and (len(self.window) != 2 or not self.window[1] >= 1):
            raise SettingError(f"window={self.window} must be a centre and a width of at least 1, as in (40, 400)")


@dataclass(frozen=True, kw_only=True)
class PictureSettings(ReadingSettings, ScoringSettings):
    """What any model over images can be told."""

    batch_size: Annotated[int, "images in a batch"] = 32
    error_col: Annotated[str, "column for the reason why an image has no answer"] = "error"


@dataclass(frozen=True, kw_only=True)
class ImageSettings(PictureSettings, ClassifierSettings):
    """How an ImageClassifierModel reads images and words its answers."""


@dataclass(frozen=True, kw_only=True)
class FeaturizerSettings(PictureSettings, VectorSettings):
    """How an ImageFeaturizer reads images and names its answers."""
