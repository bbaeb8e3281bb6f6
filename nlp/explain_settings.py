"""The settings of what explains texts. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from brightspark.core.classifier_settings import check_different
from brightspark.core.errors import SettingError
from brightspark.nlp.settings import POOLING, ModelSettings

TOKEN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("weight", pa.float32())])
EXPLANATION = pa.struct([("tokens", pa.list_(TOKEN)), ("explained", pa.string())])


@dataclass(frozen=True, kw_only=True)
class ExplainSettings(ModelSettings):
    """How a TextExplainer reads texts, and how closely it looks."""

    precision: Annotated[str, "float32: gradients are taken in no other"] = "float32"
    pooling: Annotated[str, "the classifier's: mean, max or first; which windows its answer came from"] = "mean"
    label_col: Annotated[str, "column that names the label to explain"] = "prediction"
    steps: Annotated[int, "points between no text and the text at which gradients are taken"] = 32
    tokens_col: Annotated[str, "column for the tokens and their weights"] = "tokens"
    explained_col: Annotated[str, "column for the label that the weights explain"] = "explained"
    error_col: Annotated[str, "column for the reason why a text has no weights"] = "explain_error"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_different([self.tokens_col, self.explained_col, self.error_col])
        if self.precision != "float32":
            raise SettingError(f"precision={self.precision!r}: gradients are taken in 'float32'")
        if self.pooling not in POOLING:
            raise SettingError(f"pooling={self.pooling!r} must be one of {', '.join(POOLING)}")
        if self.steps < 1:
            raise SettingError(f"steps={self.steps} must be at least 1")
