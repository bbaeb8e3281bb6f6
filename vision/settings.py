"""The settings of models over images, and the shape of their answers. Knows neither torch nor Spark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from brightspark.core.errors import SettingError
from brightspark.core.settings import ScoringSettings, StorageSettings

PILLOW_MAX_PIXELS = 89_478_485  # above it Pillow warns of a decompression bomb; it refuses twice as many

FRAME, TIME = "frame", "time"  # columns that count a DICOM's frames from 0, and a video's seconds

FEATURES = pa.struct([("features", pa.list_(pa.float32()))])


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
class ImageSettings(PictureSettings):
    """How an ImageClassifierModel reads images and words its answers."""

    multi_label: Annotated[bool, "each label is true or not by itself: `prediction` is an array of labels"] = False
    temperature: Annotated[
        float, "the network's outputs are divided by it: what makes its confidence true on validation rows"
    ] = 1.0
    min_confidence: Annotated[
        float, "`prediction` is null where the likeliest label's probability is lower: the model abstains"
    ] = 0.0
    threshold: Annotated[float, "with several labels, those of at least this probability are predicted"] = 0.5
    prediction_col: Annotated[str, "column for the likeliest label's name"] = "prediction"
    probability_col: Annotated[str, "column for the probabilities, in the order of the model's labels"] = "probability"
    top_k: Annotated[int, "how many of the likeliest labels to add, with their probabilities; 0 for none"] = 0
    top_col: Annotated[str, "column for the likeliest labels, if top_k asks for them"] = "top"
    prediction_index_col: Annotated[
        str | None, "column for the likeliest label's index as a double, for Spark's own evaluators; none by default"
    ] = None
    probability_vector_col: Annotated[
        str | None, "column for the probabilities as a Spark ML vector, for Spark's own evaluators; none by default"
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k < 0:
            raise SettingError(f"top_k={self.top_k} must not be negative")
        if not 0 < self.temperature < math.inf:
            raise SettingError(f"temperature={self.temperature} must be above 0, and finite")
        for name in ("min_confidence", "threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name}={getattr(self, name)} is a probability: from 0 to 1")
        if self.multi_label and (self.min_confidence or self.prediction_index_col):
            raise SettingError("min_confidence and prediction_index_col mean a single label: multi_label has several")
        names = [self.prediction_col, self.probability_col, self.error_col, self.top_col]
        names += [name for name in (self.prediction_index_col, self.probability_vector_col) if name]
        check_different(names)


@dataclass(frozen=True, kw_only=True)
class FeaturizerSettings(PictureSettings):
    """How an ImageFeaturizer reads images and names its answers."""

    features_col: Annotated[str, "column for the features, a Spark ML vector"] = "features"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_different([self.features_col, self.error_col])


def check_different(columns: Sequence[str]) -> None:
    """Raises SettingError where two answer columns have the same name."""
    if len(set(columns)) < len(columns):
        raise SettingError(f"two answer columns have the same name: {', '.join(columns)}")


def answer_type(settings: ImageSettings) -> pa.StructType:
    """A classifier's answer in Arrow: prediction, prediction_index, probability, and `top` where it is asked for."""
    fields = [
        ("prediction", pa.list_(pa.string()) if settings.multi_label else pa.string()),
        ("prediction_index", pa.float64()),
        ("probability", pa.list_(pa.float32())),
    ]
    if settings.top_k:
        fields.append(("top", pa.list_(pa.struct([("label", pa.string()), ("probability", pa.float32())]))))
    return pa.struct(fields)
