"""How every featurizer words its answers: settings, and the shape in Arrow. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from brightspark.core.classifier_settings import check_different
from brightspark.core.settings import ScoringSettings

FEATURES = pa.struct([("features", pa.list_(pa.float32()))])


@dataclass(frozen=True, kw_only=True)
class VectorSettings(ScoringSettings):
    """How every featurizer names its answers."""

    features_col: Annotated[str, "column for the features, a Spark ML vector"] = "features"
    error_col: Annotated[str, "column for the reason why a row has no features"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_different([self.features_col, self.error_col])
