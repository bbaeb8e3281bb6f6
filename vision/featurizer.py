"""Deep features of images on Spark: a pyspark.ml Model that adds them as a vector, for Spark ML's own learners."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.artifact import Artifact
from brightspark.core.featurizer import FeaturizerModel, of_classifier
from brightspark.vision import model as classifier
from brightspark.vision.columns import input_columns
from brightspark.vision.pretrained import describe_weights, find_weights
from brightspark.vision.settings import FeaturizerSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND = "image-featurizer"


class ImageFeaturizer(FeaturizerModel[FeaturizerSettings]):
    """Turns images into the pooled features of any network that timm knows, with a classifier or without one.

    Reads what an `ImageClassifierModel` reads. `transform` keeps every row and column and adds

    - `features`: a dense Spark ML vector, timm's features before the classifier,
    - `error`: string, why an image has no features, else null; an image that fails keeps its row.

    Spark ML's learners read their rows many times, and a plain `Pipeline` computes the features each time:
    `brightspark.core.features.FeaturePipeline` computes them once.
    Settings are those of `brightspark.vision.settings.FeaturizerSettings`.
    """

    kind = KIND
    loader = "brightspark.vision.predictor:load_features"
    Settings = FeaturizerSettings

    @classmethod
    def pretrained(cls, name: str, **settings: Any) -> ImageFeaturizer:
        """A featurizer with ready-made weights.

        `name` is what `ImageClassifierModel.pretrained` takes: a name of timm, a repository of the hub, a local folder
        in timm's layout, or the artifact of a featurizer or of a classifier, whose reading of images it takes over.

        Raises ArtifactError where there are no safetensors in it, or the network has no pooled features; InputError
        for a name that nobody knows.
        """
        found = find_weights(name)
        if isinstance(found, Path):
            artifact = timm_artifact(found)
        else:
            artifact = of_classifier(
                found, kind=KIND, classifier=classifier.KIND, settings=FeaturizerSettings, inputs="images"
            )
        return cls(artifact, **{**artifact.settings, **settings})

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The column that holds images or their paths and, where there is one, that which says which frame."""
        return input_columns(df, self.settings)


def timm_artifact(folder: Path) -> Artifact:
    """An artifact over a folder in timm's `local-dir:` layout.

    Raises ArtifactError where a file is missing, the weights do not fit, or the network has no pooled features.
    """
    from brightspark.vision.network import check_pooled, load_network
    from brightspark.vision.preprocessing import Preprocessing

    artifact = describe_weights(folder, kind=KIND)
    network = load_network(folder)
    Preprocessing.of(network, "cpu")  # what cannot work is found out here, not by every worker
    check_pooled(network)
    return artifact
