"""What a recommender that has been trained can be told. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.classifier_settings import check_different
from brightspark.core.errors import SettingError
from brightspark.core.settings import ScoringSettings
from brightspark.recsys.hybrid import CANDIDATES

MOST_LISTED = 100_000  # ids in a list that travels with the settings


@dataclass(frozen=True, kw_only=True)
class RecommenderSettings(ScoringSettings):
    """What a HybridRecommenderModel can be told."""

    user_col: Annotated[str, "column of users"] = "user"
    item_col: Annotated[str, "column of items"] = "item"
    history_col: Annotated[
        str | None,
        "column with an array of items that the user has turned to, the latest at the end, which stands for what is "
        "known of him; null or empty arrays leave it at that",
    ] = None
    prediction_col: Annotated[str, "column for how much the item suits the user"] = "prediction"
    rank_col: Annotated[
        str | None,
        "column for the item's place on the user's list, over the full catalogue without what he has turned to; null "
        "where it is not on it",
    ] = None
    error_col: Annotated[str, "column for the reason why a row has no answer"] = "error"
    candidates: Annotated[int, "best items of each part that are ranked; a single part ranks all"] = CANDIDATES
    batch_size: Annotated[int, "rows that are answered at a time"] = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        check_different([name for name in (self.prediction_col, self.rank_col, self.error_col) if name is not None])
        if self.candidates < 1:
            raise SettingError(f"candidates={self.candidates} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ListSettings(RecommenderSettings):
    """What `recommend` and `similar` are told besides."""

    k: int = 10
    allow: tuple[str | int, ...] | None = None
    """Items of which alone may be recommended."""
    deny: tuple[str | int, ...] = ()
    diversity: float = 0.0
    """From 0, the best items, to 1, the least alike among the best."""
    reasons: bool = True
    """Whether to say why."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise SettingError(f"k={self.k} must be at least 1")
        if not 0 <= self.diversity <= 1:
            raise SettingError(f"diversity={self.diversity} must be from 0 to 1")
        for name, listed in (("allow", self.allow or ()), ("deny", self.deny)):
            if len(listed) > MOST_LISTED:
                raise SettingError(
                    f"{name} has {len(listed):,} items, and travels with each task: at most {MOST_LISTED:,}; filter "
                    "the recommendations instead, with a larger k"
                )
