"""What every featurizer's model does on Spark: one vector a row, for Spark ML's own learners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from brightspark.core.features import to_vector
from brightspark.core.featurizer_settings import FEATURES, VectorSettings
from brightspark.core.model import ScoringModel
from brightspark.core.transform import quoted, with_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Observation

V = TypeVar("V", bound=VectorSettings)


class FeaturizerModel(ScoringModel[V]):
    """A ScoringModel whose answer is a Spark ML vector; `brightspark.core.features.FeaturePipeline` takes it."""

    def answer_type(self) -> pa.StructType:
        """An array of float32."""
        return FEATURES

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        return {self.settings.features_col: "answer.features", self.settings.error_col: "error"}

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._as_vector(super()._transform(dataset))

    def measure(self, df: DataFrame) -> tuple[DataFrame, Observation]:
        """`transform`, and an observation that holds what it took once the first action is done."""
        scored, observation = super().measure(df)
        return self._as_vector(scored), observation

    def _as_vector(self, scored: DataFrame) -> DataFrame:
        name = self.settings.features_col
        return with_columns(scored, {name: to_vector(quoted(name)).alias(name, metadata=self._metadata())})
