"""Why a picture was classified as it was, on Spark: a heat map for each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from brightspark.core.classifier import check_explained
from brightspark.core.model import ScoringModel
from brightspark.core.worker import local_folder
from brightspark.vision.columns import input_columns
from brightspark.vision.explain_settings import EXPLANATION, ExplainSettings
from brightspark.vision.settings import PictureSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from brightspark.vision.model import ImageClassifierModel

KIND = "image-explainer"


def explain(
    model: ImageClassifierModel,
    df: DataFrame,
    *,
    label_col: str | None = None,
    overlay: bool = True,
    heat_map_col: str = "heat_map",
    explained_col: str = "explained",
    error_col: str = "explain_error",
) -> DataFrame:
    """The same rows and columns, and for each picture a heat map of what speaks for a label: Grad-CAM.

    Reads what the model reads, by the model's own settings, and adds

    - `heat_map`: binary, a PNG of the picture as the network sees it (its size, its crop) in grey, and over it the
      heat, from red to yellow where it is hottest; or with `overlay=False` the heat alone, as grey values. Each is
      scaled to its own maximum: two pictures' heat cannot be compared;
    - `explained`: string, the label that is explained: the likeliest, or the one that the column `label_col` names;
    - `explain_error`: string, why a row has no heat map, else null; no row is dropped.

    The likeliest label is that of a float32 computation; to explain just what `transform` has answered, in whichever
    precision, name its column: `label_col="prediction"`. A heat map without heat says that nothing in the picture
    speaks for the label.

    Raises ArtifactError, before any job, for a network that Grad-CAM cannot explain; InputError for a column that is
    missing, or exists already.

        explain(model, read_images(spark, "photographs")).select("path", "explained", "heat_map")

    Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391
    """
    return ImageExplainer.of(
        model,
        label_col=label_col,
        overlay=overlay,
        heat_map_col=heat_map_col,
        explained_col=explained_col,
        error_col=error_col,
    ).transform(df)


class ImageExplainer(ScoringModel[ExplainSettings]):
    """Draws heat maps for the answers of an ImageClassifierModel; `explain` is its `transform`.

    `scorer()` explains a single picture without Spark, `measure(df)` says what it took.
    Settings are those of `brightspark.vision.explain_settings.ExplainSettings`.
    """

    kind = KIND
    loader = "brightspark.vision.explain_predictor:load"
    Settings = ExplainSettings

    @classmethod
    def of(cls, model: ImageClassifierModel, **settings: Any) -> ImageExplainer:
        """An explainer for a classifier, which reads images as that one does.

        Raises ArtifactError for a network in which no layer is found that Grad-CAM could explain.
        """
        _check_explainable(model)
        shared = {declared.name for declared in fields(PictureSettings)} - {"precision", "error_col"}
        reading = {name: getattr(model.settings, name) for name in shared}
        return cls(replace(model.artifact, kind=KIND, settings={}, metrics={}), **{**reading, **settings})

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """What the classifier reads, and the column of labels to explain where there is one."""
        columns = input_columns(df, self.settings)
        label = self.settings.label_col
        if label is None:
            return columns
        check_explained(df, label)
        return tuple(dict.fromkeys((*columns, label)))

    def answer_type(self) -> pa.StructType:
        """A PNG, and the label that it explains."""
        return EXPLANATION

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        return {
            self.settings.heat_map_col: "answer.heat_map",
            self.settings.explained_col: "answer.explained",
            self.settings.error_col: "error",
        }


def _check_explainable(model: ImageClassifierModel) -> None:
    """What cannot work is found out here, not by every worker."""
    from brightspark.vision.grad_cam import GradCam
    from brightspark.vision.network import load_network

    GradCam(load_network(local_folder(model.artifact)))
