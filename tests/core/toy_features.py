"""A featurizer without a network: a few numbers from a text. Counts what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa

from brightspark.core.artifact import open_artifact, writing
from brightspark.core.features import to_vector
from brightspark.core.model import ScoringModel
from brightspark.core.predictor import Predictor
from brightspark.core.settings import ScoringSettings
from tests.core.toy import count, probabilities

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SIZE = 4
ANSWER = pa.struct([("features", pa.list_(pa.float32()))])


@dataclass(frozen=True, kw_only=True)
class ToyFeaturizerSettings(ScoringSettings):
    features_col: Annotated[str, "column for the features"] = "features"
    error_col: Annotated[str, "column for the error"] = "error"
    fault: Annotated[str, "what is wrong: none, constant, dead"] = "none"
    log: Annotated[str, "a folder in which each process counts what it does; none if empty"] = ""


def features(text: str) -> np.ndarray[Any, Any]:
    """Numbers in which the text's first letter can be read."""
    numbers = probabilities(text)
    numbers[0] += ord(text[0]) - ord("a")
    return numbers


def load(folder: Path, device: str, settings: ToyFeaturizerSettings) -> Predictor:
    def split(record: Mapping[str, Any], work: Any) -> Sequence[str]:
        if record["text"].startswith("broken"):
            raise ValueError(f"cannot read a text of {len(record['text'])} letters")
        return [record["text"]]

    def predict(batch: Sequence[str]) -> list[dict[str, Any]]:
        count(settings.log, "predict", len(batch))
        if settings.fault == "dead":
            raise ArithmeticError("the features are not finite numbers")
        return [{"features": np.zeros(SIZE) if settings.fault == "constant" else features(text)} for text in batch]

    return Predictor(columns=("text",), answer_type=ANSWER, split=split, prepare=list, predict=predict, batch_cost=16)


class ToyFeaturizer(ScoringModel[ToyFeaturizerSettings]):
    kind = "toy-featurizer"
    loader = "tests.core.toy_features:load"
    Settings = ToyFeaturizerSettings

    @classmethod
    def make(cls, folder: Path, **settings: Any) -> ToyFeaturizer:
        with writing(folder, kind=cls.kind) as made:
            (made / "toy.json").write_text("{}")
        return cls(open_artifact(folder), **settings)

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        return ("text",)

    def answer_type(self) -> pa.StructType:
        return ANSWER

    def outputs(self) -> Mapping[str, str]:
        return {self.settings.features_col: "answer.features", self.settings.error_col: "error"}

    def _transform(self, dataset: DataFrame) -> DataFrame:
        name = self.settings.features_col
        return super()._transform(dataset).withColumns({name: to_vector(name)})
