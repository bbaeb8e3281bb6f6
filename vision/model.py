"""Image classification on Spark: a pyspark.ml Model over any timm network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.artifact import Artifact
from brightspark.core.errors import InputError
from brightspark.core.features import to_vector
from brightspark.core.model import ScoringModel
from brightspark.core.transform import quoted
from brightspark.vision.columns import input_columns
from brightspark.vision.labels import read_labels
from brightspark.vision.pretrained import describe_weights, find_weights
from brightspark.vision.settings import ImageSettings, answer_type

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, Observation

KIND = "image-classifier"


class ImageClassifierModel(ScoringModel[ImageSettings]):
    """Classifies images, by any network that timm knows; preprocessing is always the network's own.

    Reads a column of paths (string) or of encoded images (binary): `content` where there is one, else `path`, or what
    `input_col` names. `transform` keeps every row and column and adds

    - `prediction`: string, the likeliest label's name; null where `min_confidence` is set and not reached; with
      `multi_label` array<string>, all labels that apply,
    - `probability`: array<float>, in the order of `labels`,
    - `error`: string, why an image has no answer, else null; an image that fails keeps its row,
    - `top`: array<struct<label, probability>>, the `top_k` likeliest, where `top_k` is set.

    Settings are those of `brightspark.vision.settings.ImageSettings`.
    """

    kind = KIND
    loader = "brightspark.vision.predictor:load"
    Settings = ImageSettings

    @classmethod
    def pretrained(cls, name: str, **settings: Any) -> ImageClassifierModel:
        """A model with ready-made weights.

        `name` is a name of timm (`resnet18.a1_in1k`), a repository of the Hugging Face hub (`timm/resnet18.a1_in1k`),
        a local folder in timm's layout (config.json, model.safetensors), or an artifact's folder or URI. A hub's name
        is resolved here, once; workers never ask a hub.

        Raises ArtifactError where there are no safetensors in it, InputError for a name that nobody knows.
        """
        found = find_weights(name, kind=KIND)
        artifact = timm_artifact(found) if isinstance(found, Path) else found
        return cls(artifact, **{**artifact.settings, **settings})

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The column that holds images or their paths and, where there is one, that which says which frame."""
        return input_columns(df, self.settings)

    def answer_type(self) -> pa.StructType:
        """prediction, prediction_index, probability and, on request, top."""
        return answer_type(self.settings)

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        named = self.settings
        outputs = {named.prediction_col: "answer.prediction", named.probability_col: "answer.probability"}
        if named.prediction_index_col:
            outputs[named.prediction_index_col] = "answer.prediction_index"
        if named.top_k:
            outputs[named.top_col] = "answer.top"
        outputs[named.error_col] = "error"
        return outputs

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._with_vector(super()._transform(dataset))

    def measure(self, df: DataFrame) -> tuple[DataFrame, Observation]:
        """`transform`, and an observation that holds what it took once the first action is done."""
        scored, observation = super().measure(df)
        return self._with_vector(scored), observation

    def _with_vector(self, scored: DataFrame) -> DataFrame:
        """`probability` once more, as a Spark ML vector, where the settings name a column for it."""
        vector = self.settings.probability_vector_col
        if not vector:
            return scored
        if vector in scored.columns:
            raise InputError(f"the table has a column {vector!r} already; drop it, or name another")
        return scored.withColumn(vector, to_vector(quoted(self.settings.probability_col)))


def timm_artifact(folder: Path) -> Artifact:
    """An artifact over a folder in timm's `local-dir:` layout.

    Raises ArtifactError where a file is missing or the weights do not fit; pickled weights are not opened.
    """
    from brightspark.vision.network import load_network
    from brightspark.vision.preprocessing import Preprocessing

    artifact = replace(describe_weights(folder, kind=KIND), labels=read_labels(folder))
    Preprocessing.of(load_network(folder), "cpu")  # what cannot work is found out here, not by every worker
    return artifact
