"""What every estimator can be told of the rows that it learns from. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.classifier_settings import check_different
from brightspark.core.errors import SettingError, did_you_mean
from brightspark.core.training_settings import TrainingSettings

BALANCE = ("none", "weights", "sampling")
MONITORS = ("loss", "accuracy", "balanced_accuracy")


@dataclass(frozen=True, kw_only=True)
class FitSettings(TrainingSettings):
    """What every estimator can be told: how it trains, and on which rows."""

    group_col: Annotated[
        str | None, "column of what must not stand on both sides: a patient, a camera; by default each row is its own"
    ] = None
    validation_share: Annotated[
        float, "share of the groups that is held out, by their hash, to pick the best epoch and to measure on"
    ] = 0.1
    run_folder: Annotated[
        str | None,
        "a folder that the driver and all workers see, where fits are kept: the same fit goes on where it was killed; "
        "by default a folder that is gone when the fit ends",
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.validation_share < 1:
            raise SettingError(f"validation_share={self.validation_share} is a share: from 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class ClassifierFitSettings(FitSettings):
    """What every estimator of a classifier can be told."""

    label_col: Annotated[str, "column of the label: a text, a whole number or a boolean, or an array of several"] = (
        "label"
    )
    trained_blocks: Annotated[
        int | None, "blocks that learn, counted from the network's end; 0 for the classifier alone, by default all"
    ] = None
    balance: Annotated[
        str, "what is done for rare labels: none; weights: they weigh more; sampling: they are drawn more often"
    ] = "none"
    label_smoothing: Annotated[float, "share of the truth that is spread over all labels"] = 0.1
    calibrate: Annotated[bool, "find the temperature that makes confidence true, on the validation rows"] = True
    prediction_col: Annotated[str, "the model's column for the likeliest label's name"] = "prediction"
    probability_col: Annotated[str, "the model's column for the probabilities"] = "probability"
    error_col: Annotated[str, "the model's column for the reason why a row has no answer"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_different([self.prediction_col, self.probability_col, self.error_col, "top"])  # the model's other column
        if self.balance not in BALANCE:
            raise SettingError(f"balance={self.balance!r} must be one of {', '.join(BALANCE)}")
        if not 0 <= self.label_smoothing <= 1:
            raise SettingError(f"label_smoothing={self.label_smoothing} is a share: from 0 to 1")
        if self.balance == "sampling" and self.window_rows:
            raise SettingError(f"balance='sampling' draws from all rows: not with window_rows={self.window_rows}")
        if self.monitor not in MONITORS:
            raise SettingError(f"monitor={self.monitor!r} is not measured; {did_you_mean(self.monitor, MONITORS)}")
        if self.trained_blocks is not None and self.trained_blocks < 0:
            raise SettingError(f"trained_blocks={self.trained_blocks} must not be negative, or None for all")
