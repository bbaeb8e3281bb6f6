"""What every estimator can be told of the rows that it learns from. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.errors import SettingError
from brightspark.core.training_settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class FitSettings(TrainingSettings):
    """What every estimator can be told: how it trains, and on which rows."""

    label_col: Annotated[str, "column of the label: a text, a whole number or a boolean, or an array of several"] = (
        "label"
    )
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
