"""Image classification on Spark: a pyspark.ml Model over any timm network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.artifact import Artifact
from brightspark.core.classifier import ClassifierModel
from brightspark.vision.columns import input_columns
from brightspark.vision.labels import read_labels
from brightspark.vision.pretrained import describe_weights, find_weights
from brightspark.vision.settings import ImageSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND = "image-classifier"


class ImageClassifierModel(ClassifierModel[ImageSettings]):
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


def timm_artifact(folder: Path) -> Artifact:
    """An artifact over a folder in timm's `local-dir:` layout.

    Raises ArtifactError where a file is missing or the weights do not fit; pickled weights are not opened.
    """
    from brightspark.vision.network import load_network
    from brightspark.vision.preprocessing import Preprocessing

    artifact = replace(describe_weights(folder, kind=KIND), labels=read_labels(folder))
    Preprocessing.of(load_network(folder), "cpu")  # what cannot work is found out here, not by every worker
    return artifact
