"""How every classifier words its answers: settings, the shape in Arrow, probabilities as answers. Knows no Spark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa

from brightspark.core.errors import SettingError
from brightspark.core.settings import ScoringSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(ScoringSettings):
    """What every classifier can be told about its answers."""

    multi_label: Annotated[bool, "each label is true or not by itself: `prediction` is an array of labels"] = False
    temperature: Annotated[
        float, "the network's outputs are divided by it: what makes its confidence true on validation rows"
    ] = 1.0
    min_confidence: Annotated[
        float, "`prediction` is null where the likeliest label's probability is lower: the model abstains"
    ] = 0.0
    threshold: Annotated[float, "with several labels, those of at least this probability are predicted"] = 0.5
    prediction_col: Annotated[str, "column for the likeliest label's name"] = "prediction"
    probability_col: Annotated[str, "column for the probabilities, in the order of the model's labels"] = "probability"
    error_col: Annotated[str, "column for the reason why a row has no answer"] = "error"
    top_k: Annotated[int, "how many of the likeliest labels to add, with their probabilities; 0 for none"] = 0
    top_col: Annotated[str, "column for the likeliest labels, if top_k asks for them"] = "top"
    prediction_index_col: Annotated[
        str | None, "column for the likeliest label's index as a double, for Spark's own evaluators; none by default"
    ] = None
    probability_vector_col: Annotated[
        str | None, "column for the probabilities as a Spark ML vector, for Spark's own evaluators; none by default"
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k < 0:
            raise SettingError(f"top_k={self.top_k} must not be negative")
        if not 0 < self.temperature < math.inf:
            raise SettingError(f"temperature={self.temperature} must be above 0, and finite")
        for name in ("min_confidence", "threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name}={getattr(self, name)} is a probability: from 0 to 1")
        if self.multi_label and (self.min_confidence or self.prediction_index_col):
            raise SettingError("min_confidence and prediction_index_col mean a single label: multi_label has several")
        names = [self.prediction_col, self.probability_col, self.error_col, self.top_col]
        names += [name for name in (self.prediction_index_col, self.probability_vector_col) if name]
        check_different(names)


def check_different(columns: Sequence[str]) -> None:
    """Raises SettingError where two answer columns have the same name."""
    if len(set(columns)) < len(columns):
        raise SettingError(f"two answer columns have the same name: {', '.join(columns)}")


def answer_type(settings: ClassifierSettings) -> pa.StructType:
    """A classifier's answer in Arrow: prediction, prediction_index, probability, and `top` where it is asked for."""
    fields = [
        ("prediction", pa.list_(pa.string()) if settings.multi_label else pa.string()),
        ("prediction_index", pa.float64()),
        ("probability", pa.list_(pa.float32())),
    ]
    if settings.top_k:
        fields.append(("top", pa.list_(pa.struct([("label", pa.string()), ("probability", pa.float32())]))))
    return pa.struct(fields)


def to_probabilities(logits: torch.Tensor, settings: ClassifierSettings) -> np.ndarray[Any, Any]:
    """A network's outputs, rows × labels, as probabilities at the settings' temperature.

    Raises ArithmeticError where one is not a number.
    """
    even = logits.float() / settings.temperature
    probabilities: np.ndarray[Any, Any] = (
        (even.sigmoid() if settings.multi_label else even.softmax(dim=1)).cpu().numpy()
    )
    if np.isnan(probabilities).any():
        raise ArithmeticError("the network's answer is not a number")
    return probabilities


def classified(
    probabilities: np.ndarray[Any, Any], names: Sequence[str], settings: ClassifierSettings
) -> dict[str, Any]:
    """One row's probabilities as its answer, in `answer_type`."""
    answer = {"probability": probabilities, **_prediction(probabilities, names, settings)}
    if settings.top_k:
        likeliest = np.argsort(-probabilities, kind="stable")[: settings.top_k]
        answer["top"] = [{"label": names[index], "probability": float(probabilities[index])} for index in likeliest]
    return answer


def _prediction(
    probabilities: np.ndarray[Any, Any], names: Sequence[str], settings: ClassifierSettings
) -> dict[str, Any]:
    if settings.multi_label:
        return {"prediction": [names[index] for index in np.flatnonzero(probabilities >= settings.threshold).tolist()]}
    best = int(probabilities.argmax())
    if probabilities[best] < settings.min_confidence:
        return {"prediction": None}
    return {"prediction": names[best], "prediction_index": best}
