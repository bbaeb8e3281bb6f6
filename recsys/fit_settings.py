"""How a hybrid recommender is learned: what a HybridRecommender can be told. Knows neither torch nor Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from brightspark.core.classifier_settings import check_different
from brightspark.core.errors import SettingError, did_you_mean
from brightspark.recsys.factors import SparkAls
from brightspark.recsys.hybrid import CANDIDATES
from brightspark.recsys.parts import KINDS, kind

SPARK_ALS = SparkAls.name
FOLDS = 5  # into which each item's interactions fall


@dataclass(frozen=True, kw_only=True)
class HybridFitSettings:
    """What a HybridRecommender can be told."""

    user_col: Annotated[str, "column of users: texts or whole numbers"] = "user"
    item_col: Annotated[str, "column of items: texts or whole numbers"] = "item"
    rating_col: Annotated[str | None, "column of ratings; None where each row is an event that counts 1"] = "rating"
    timestamp_col: Annotated[
        str | None, "column of moments: what came last, and what came soon after what; by default `timestamp`"
    ] = None
    name_col: Annotated[str | None, "column of the items with what to call them, in reasons"] = None
    feedback: Annotated[str, "implicit: what is not above 0 is no interaction; explicit: each rating is one"] = (
        "implicit"
    )
    duplicates: Annotated[str, "what becomes of several rows of a pair: last, sum, max or mean"] = "last"
    parts: Annotated[
        tuple[str, ...] | None,
        "what has a say; by default all that max_bytes and the items' features allow. A single one ranks alone, and "
        "nothing is learned of how far to believe it",
    ] = None
    part_settings: Annotated[
        Mapping[str, Any], "settings of each part by its name, such as {'als': {'factors': 128}}"
    ] = field(default_factory=dict)
    crossfits: Annotated[
        int, f"how many of {FOLDS} folds the re-ranking is learned on; each learns all parts once more"
    ] = 2
    candidates: Annotated[int, "best items of each part that are ranked"] = CANDIDATES
    taught_users: Annotated[int, "users of a fold that the re-ranking is learned from, at most"] = 5_000
    max_bytes: Annotated[int, "memory that learning may take in one process"] = 8 << 30
    seed: Annotated[int, "of folds, vectors and draws"] = 0
    run_folder: Annotated[
        str | None,
        "a folder that the driver and all workers see, where fits are kept: the same fit goes on where it was killed; "
        "by default a folder that is gone when the fit ends",
    ] = None
    prediction_col: Annotated[str, "the model's column for how much the item suits the user"] = "prediction"
    rank_col: Annotated[
        str | None, "the model's column for the item's place on the user's list, which a RankingEvaluator reads"
    ] = None
    error_col: Annotated[str, "the model's column for the reason why a row has no answer"] = "error"

    def __post_init__(self) -> None:
        check_different([name for name in (self.prediction_col, self.rank_col, self.error_col) if name is not None])
        if not 1 <= self.crossfits <= FOLDS:
            raise SettingError(f"crossfits={self.crossfits} must be from 1 to {FOLDS}")
        for name in ("candidates", "taught_users", "max_bytes"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} must be at least 1")
        for name in (*(self.parts or ()), *self.part_settings):
            if name not in KINDS:
                raise SettingError(f"there is no part {name!r}; {did_you_mean(name, KINDS)}")
        if self.parts is not None and not self.parts:
            raise SettingError("parts names none; None stands for all")
        if SPARK_ALS in (self.parts or ()) and len(self.parts or ()) > 1:
            raise SettingError(f"{SPARK_ALS} is learned by Spark and stands alone: parts=({SPARK_ALS!r},)")
        for name in self.part_settings:
            self.of_part(name)

    def of_part(self, name: str) -> Any:
        """A part's settings: its own defaults, with the seed and the memory, and what `part_settings` says.

        Raises SettingError for one that there is not.
        """
        declared = kind(name).settings
        known = set(declared.__dataclass_fields__)
        own = dict(self.part_settings.get(name, {}))
        for each in own:
            if each not in known:
                raise SettingError(f"{name} has no setting {each!r}; {did_you_mean(each, known)}")
        shared = {"seed": self.seed, "max_bytes": self.max_bytes}
        return declared(**{each: value for each, value in shared.items() if each in known} | own)
