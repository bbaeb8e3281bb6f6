"""What every featurizer's model does on Spark: one vector a row, for Spark ML's own learners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from brightspark.core.artifact import Artifact
from brightspark.core.errors import ArtifactError
from brightspark.core.features import to_vector
from brightspark.core.featurizer_settings import FEATURES, VectorSettings
from brightspark.core.model import ScoringModel
from brightspark.core.transform import quoted, with_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

V = TypeVar("V", bound=VectorSettings)


class FeaturizerModel(ScoringModel[V]):
    """A ScoringModel whose answer is a Spark ML vector; `brightspark.core.features.FeaturePipeline` takes it."""

    def answer_type(self) -> pa.StructType:
        """An array of float32."""
        return FEATURES

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        return {self.settings.features_col: "answer.features", self.settings.error_col: "error"}

    def finished(self, scored: DataFrame) -> DataFrame:
        """The features as a vector."""
        name = self.settings.features_col
        return with_columns(scored, {name: to_vector(quoted(name)).alias(name, metadata=self._metadata())})


def of_classifier(
    artifact: Artifact, *, kind: str, classifier: str, settings: type[VectorSettings], inputs: str
) -> Artifact:
    """A featurizer's artifact as it is; that of a classifier of the same inputs with the settings that both have.

    Raises ArtifactError for an artifact of another kind.
    """
    if artifact.kind == kind:
        return artifact
    if artifact.kind != classifier:
        raise ArtifactError(f"{artifact.address} is a {artifact.kind!r}: it has no network over {inputs}")
    shared = {declared.name for declared in fields(settings)}
    kept = {name: value for name, value in artifact.settings.items() if name in shared}
    return replace(artifact, kind=kind, labels=(), settings=kept)
