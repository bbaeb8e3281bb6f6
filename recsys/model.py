"""Recommendation on Spark: a pyspark.ml Model that scores pairs, recommends to users, and finds items like others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.model import ScoringModel
from brightspark.core.session import partitions
from brightspark.core.transform import answers, quoted
from brightspark.core.worker import Scoring
from brightspark.recsys.columns import id_column
from brightspark.recsys.predictor import PAIR, list_type
from brightspark.recsys.settings import ListSettings, RecommenderSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

KIND = "recommender"
PREDICTOR = "brightspark.recsys.predictor"
ID_TYPES = {"string": pa.string(), "bigint": pa.int64()}
_LIST = "__brightspark_list"


class HybridRecommenderModel(ScoringModel[RecommenderSettings]):
    """Says how much items suit users, out of several parts and what was learned of how far to believe each.

    `transform` reads `user` and `item`, keeps every row and column and adds

    - `prediction`: double; the more, the better the item suits the user. It compares items of one user, not users,
    - `error`: string, why a pair has no answer (no item, or one that is not in the catalogue), else null,
    - where `rank_col` names it, the item's place on the user's list: int, null where it is not on it.

    A user who was not learned from is known by his `history_col` (an array of items), and without one by what is
    popular. `recommend` and `similar` give lists. Settings are those of
    `brightspark.recsys.settings.RecommenderSettings`.
    """

    kind = KIND
    loader = f"{PREDICTOR}:load_pairs"
    Settings = RecommenderSettings

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """User, item and, where it is named, the history."""
        settings = self.settings
        _check(df, settings.user_col, self._type("user"), "user_col")
        _check(df, settings.item_col, self._type("item"), "item_col")
        return (settings.user_col, settings.item_col, *self._history(df))

    def answer_type(self) -> pa.StructType:
        """How much the item suits the user, and its place on his list."""
        return PAIR

    def outputs(self) -> Mapping[str, str]:
        """The answer's columns."""
        settings = self.settings
        ranked = {} if settings.rank_col is None else {settings.rank_col: "answer.rank"}
        return {settings.prediction_col: "answer.prediction", **ranked, settings.error_col: "error"}

    def recommend(
        self,
        users: DataFrame,
        k: int = 10,
        *,
        allow: Sequence[Any] | None = None,
        deny: Sequence[Any] = (),
        diversity: float = 0.0,
        reasons: bool = True,
    ) -> DataFrame:
        """The k best items for each row of a table of users, without what the user has turned to.

        Gives `user`, `item`, `score`, `rank` (from 1), `reason` (string: which of the user's items are like it, which
        feature he likes, or that it is popular) and `liked` (array, those items). A user appears once for each item;
        one who has seen everything does not appear. `allow` names the only items that may be recommended, `deny` those
        that may not. `diversity`, up to 1, prefers items that are not like those before them. Without `reasons` both
        columns are null, and lists of millions of users take less time.

        Raises InputError for a column that is missing or of another type than was learned from, SettingError for a k
        below 1.
        """
        settings = self.settings
        _check(users, settings.user_col, self._type("user"), "user_col")
        columns = (settings.user_col, *self._history(users))
        named = users.select(*[F.col(quoted(name)) for name in columns])
        told = {"allow": allow, "deny": tuple(deny), "diversity": diversity, "reasons": reasons}
        scoring = self._lists("load_lists", columns, k=k, **told)
        table = _exploded(named, scoring, settings.user_col, "user", ("item", "score", "reason", "liked"))
        return table.select("user", "item", "score", "rank", "reason", "liked")

    def similar(self, items: DataFrame, k: int = 10) -> DataFrame:
        """The k items that are most like each item of a table: `item`, `similar`, `score` (a cosine) and `rank`.

        Items that are not in the catalogue do not appear. Raises InputError and SettingError as `recommend`.
        """
        settings = self.settings
        _check(items, settings.item_col, self._type("item"), "item_col")
        named = items.select(F.col(quoted(settings.item_col)))
        scoring = self._lists("load_similar", (settings.item_col,), k=k)
        table = _exploded(named, scoring, settings.item_col, "of", ("item", "score"))
        return table.select(F.col("of").alias("item"), F.col("item").alias("similar"), "score", "rank")

    def known_users(self, spark: SparkSession) -> DataFrame:
        """Who was learned from: a table with the column `user_col`, as the workers read it from the artifact."""
        of_type = ID_TYPES[self._type("user")]
        scoring = self._scoring_by(f"{PREDICTOR}:load_users", self.settings, ("id",), pa.struct([("user", of_type)]))
        codes = spark.range(0, self.artifact.training["users"], 1, partitions(spark))
        return answers(codes, scoring, {self.settings.user_col: "answer.user"}).drop("id")

    def _lists(self, loader: str, columns: tuple[str, ...], **told: Any) -> Scoring:
        told = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
        settings = ListSettings(**asdict(self.settings), **told)
        return self._scoring_by(f"{PREDICTOR}:{loader}", settings, columns, list_type(ID_TYPES[self._type("item")]))

    def _type(self, of: str) -> str:
        """The type of the ids that were learned from: string or bigint."""
        return str(self.artifact.training[f"{of}_type"])

    def _history(self, df: DataFrame) -> tuple[str, ...]:
        name = self.settings.history_col
        if name is None:
            return ()
        if name not in df.columns:
            raise InputError(f"the table has no column {name!r} (history_col); {did_you_mean(name, df.columns)}")
        return (name,)


def _check(df: DataFrame, name: str, learned: str, setting: str) -> None:
    """Raises InputError for ids that cannot be those that were learned from."""
    if name not in df.columns:
        raise InputError(f"the table has no column {name!r} ({setting}); {did_you_mean(name, df.columns)}")
    found = df.select(id_column(df, name, setting).alias("id")).schema["id"].dataType.simpleString()
    if found != learned:
        raise InputError(f"{name} is {found} in the table, and was {learned} in what was learned from: cast it")


def _exploded(df: DataFrame, scoring: Scoring, key: str, name: str, columns: Sequence[str]) -> DataFrame:
    """A row for each item of each list, with its `rank`."""
    scored = answers(df, scoring, {f"{_LIST}_{column}": f"answer.{column}" for column in columns})
    listed = F.arrays_zip(*[f"{_LIST}_{column}" for column in columns])
    each = scored.select(F.col(quoted(key)).alias(name), F.posexplode(listed).alias("place", "one"))
    found = {column: F.col(f"one.{_LIST}_{column}") for column in columns} | {"rank": F.col("place") + 1}
    return each.select(name, *[of.alias(column) for column, of in found.items()])
