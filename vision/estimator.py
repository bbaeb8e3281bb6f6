"""Fine-tuning images on Spark: a pyspark.ml Estimator over any timm network."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.estimator import Fit, TrainingEstimator, classifier_facts
from brightspark.core.survey import label_names
from brightspark.core.transform import answers, quoted
from brightspark.core.worker import Scoring
from brightspark.vision.columns import input_columns
from brightspark.vision.fit_settings import ImageFitSettings
from brightspark.vision.settings import ReadingSettings
from brightspark.vision.staging import STAGED, StagingSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from brightspark.vision.model import ImageClassifierModel

LOADER = "brightspark.vision.staging:load"
START = "network"  # the folder of the network that training starts with
_CONTENT, _LABELS, _ERROR = (f"__brightspark_{name}" for name in ("content", "labels", "error"))


class ImageClassifier(TrainingEstimator[ImageFitSettings]):
    """Fine-tunes any timm network on a DataFrame of images and labels, on as many ranks as `ranks` says.

    Reads the images as `ImageClassifierModel` does, and `label_col`: a label each, or an array of labels where several
    may be true. Rows without a label take no part, images that cannot be read neither, up to `max_error_rate`.

    `fit` returns an `ImageClassifierModel` with the weights of the best epoch on the validation rows, and the
    temperature that makes its confidence true there. Its `artifact` holds metrics, settings and what names the data.

    >>> classifier = ImageClassifier("resnet18.a1_in1k", epochs=5, group_col="patient")     # doctest: +SKIP
    >>> model = classifier.fit(read_images(spark, "scans/"))                                # doctest: +SKIP

    Settings are those of `brightspark.vision.fit_settings.ImageFitSettings`.
    """

    builder = "brightspark.vision.training:build"
    Settings = ImageFitSettings

    def __init__(self, network: str = "", **settings: Any) -> None:
        super().__init__(network=network, **settings)

    def key(self, df: DataFrame) -> tuple[str, ...]:
        """The column of images or of their paths and, where there is one, that which says which frame."""
        return input_columns(df, self.settings)

    def truth_col(self) -> str:
        """The column of labels."""
        return self.settings.label_col

    def origin(self) -> str:
        """The digest of the weights that training starts with."""
        from brightspark.vision.start import origin

        return origin(self.settings)

    def facts(self, fit: Fit) -> dict[str, Any]:
        """`brightspark.vision.training.Facts`; writes the network that training starts with."""
        from brightspark.vision.start import rates, write_start

        settings, found = self.settings, fit.survey
        write_start(fit.place / START, settings, found.labels)
        return {
            **classifier_facts(fit.place / START, found, settings),
            "augmentation": settings.augmentation,
            "mixup": settings.mixup,
            "cutmix": settings.cutmix,
            "rates": {"drop_rate": settings.drop_rate, **rates(settings.model_args)},
            "max_pixels": settings.max_pixels,
        }

    def rows(self, df: DataFrame, fit: Fit) -> DataFrame:
        """`content`, the pictures as training reads them, `label`, its name or names, and `error`."""
        columns = self.key(df)
        light = df.select(*map(quoted, columns), label_names(df, self.settings.label_col).alias(_LABELS))
        scoring = Scoring(
            loader=LOADER,
            artifact=None,
            settings=self._staging(fit),
            columns=columns,
            answer_type=STAGED,
        )
        read = answers(light, scoring, {_CONTENT: "answer.content", _ERROR: "error"})
        label = F.col(_LABELS) if fit.survey.multi_label else F.col(_LABELS)[0]
        error = F.col(_ERROR)
        if df.select(quoted(columns[0])).schema[0].dataType.typeName() == "string":  # a path, which says which it was
            error = F.concat(F.coalesce(quoted(columns[0]), F.lit("null")), F.lit(": "), error)
        return read.select(F.col(_CONTENT).alias("content"), label.alias("label"), error.alias("error"))

    def _staging(self, fit: Fit) -> StagingSettings:
        from brightspark.vision.start import read_start

        start = read_start(fit.place / START)
        shared = {name: getattr(self.settings, name) for name in _names(ReadingSettings)}
        short_side = math.ceil(self.settings.staged_size * start.scale_size)
        return StagingSettings(**shared, mode=start.mode, short_side=short_side)

    def model(self, fit: Fit) -> ImageClassifierModel:
        """The trained network in place, measured on the validation rows."""
        from brightspark.vision.trained import trained_model

        return trained_model(fit, fit.place / START, self.settings)


def _names(settings: type[Any]) -> tuple[str, ...]:
    return tuple(declared.name for declared in fields(settings))
