"""Ratings made fit to learn from: each pair of user and item once, without what cannot be. Knows Spark, no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError, did_you_mean
from brightspark.core.persisted import persisted
from brightspark.recsys.columns import id_column, rating_column, time_column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

DUPLICATES = ("last", "sum", "max", "mean")
FEEDBACK = ("implicit", "explicit")
LARGEST = 1e30  # a rating beyond it is a slip; below it, sums of many still fit the trainers' float32


@dataclass(frozen=True)
class InteractionCounts:
    """What became of the rows of a table of ratings."""

    rows: int
    without_ids: int
    """rows whose user or item is null: left out"""
    without_rating: int
    """rows with ids whose rating is null, NaN, infinite or beyond LARGEST: left out"""
    merged: int
    """further rows of pairs that were there already"""
    not_positive: int
    """pairs of implicit feedback that add up to 0 or less: left out"""
    interactions: int
    """pairs of user and item that are left to learn from"""
    without_timestamp: int
    """of these"""
    users: int
    items: int

    def __str__(self) -> str:
        lost = {
            "without user or item": self.without_ids,
            "without a finite rating": self.without_rating,
            "merged into another of their pair": self.merged,
        }
        said = [f"{count:,} rows {why}" for why, count in lost.items() if count]
        said += [f"{self.not_positive:,} pairs not above 0"] if self.not_positive else []
        line = f"{self.interactions:,} interactions of {self.users:,} users with {self.items:,} items"
        return f"{line}, from {self.rows:,} rows" + (f": {', '.join(said)}" if said else "")

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers that JSON knows."""
        return asdict(self)


def interactions(ratings: DataFrame, *, duplicates: str = "last", feedback: str = "implicit") -> DataFrame:
    """Each pair of user and item once: `user`, `item`, `rating` (double) and `timestamp`.

    Reads `user` and `item` (texts or whole numbers), `rating` (numbers) and, where it is there, `timestamp`. Rows
    without user or item are left out, and so are those whose rating is null, NaN, infinite or beyond LARGEST;
    `count_interactions` says how many.

    `duplicates` says what becomes of several rows of a pair: `last` keeps the rating of the latest one (rows without a
    timestamp are older than all others; of equally late ones the highest rating), `sum` adds them up, as of plays or
    purchases, `max` and `mean` are what they say. The timestamp is always that of the latest row.

    With implicit `feedback` a pair that then has a rating of 0 or less, such as a purchase that was returned, is no
    interaction and is left out. With `explicit` feedback every rating counts, also a negative one. To learn from likes
    only, filter before: `ratings.filter("rating >= 4")`.

    Raises InputError for columns that are missing or of a type that cannot be, SettingError for unknown settings.
    """
    found = merged(ratings, duplicates=duplicates, feedback=feedback)
    return found.filter("counts").select("user", "item", "rating", "timestamp")


def count_interactions(
    ratings: DataFrame, *, duplicates: str = "last", feedback: str = "implicit"
) -> InteractionCounts:
    """How many interactions `interactions` makes of a table, and what it leaves out.

    Raises InputError where nothing is left to learn from, and what `interactions` raises.
    """
    with persisted(merged(ratings, duplicates=duplicates, feedback=feedback)) as pairs:
        return count_merged(pairs)


def merged(ratings: DataFrame, *, duplicates: str = "last", feedback: str = "implicit") -> DataFrame:
    """What `interactions` and `count_interactions` are made of: each pair once, also those that are no interactions.

    Beside its `rating` and `timestamp` a pair has `counts`, whether it is an interaction, `rows`, how many rows of the
    table it has, and `rated`, how many of these can be used.
    """
    if duplicates not in DUPLICATES:
        raise SettingError(f"duplicates={duplicates!r} is unknown; {did_you_mean(duplicates, DUPLICATES)}")
    counted = _counts(feedback)
    usable = _has_ids() & _has_rating()
    rating = F.when(usable, F.col("rating"))
    # Structs are compared field by field, null before all else.
    latest = F.max(F.when(usable, F.struct("timestamp", "rating")))
    merging = {"sum": F.sum, "max": F.max, "mean": F.avg}
    pairs = (
        _typed(ratings)
        .groupBy("user", "item")
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.count_if(usable).alias("rated"),
            latest.alias("latest"),
            (F.lit(None) if duplicates == "last" else merging[duplicates](rating)).alias("merged"),
        )
    )
    chosen = F.col("latest.rating") if duplicates == "last" else F.col("merged")
    known = pairs.withColumns({"rating": chosen, "timestamp": F.col("latest.timestamp")})
    return known.select("user", "item", "rating", "timestamp", "rows", "rated").withColumn(
        "counts", (F.col("rated") > 0) & counted
    )


def count_merged(pairs: DataFrame) -> InteractionCounts:
    """`count_interactions` of what `merged` gives; raises InputError where nothing is left to learn from."""
    ids, several = _has_ids(), F.col("rated") > 1
    said = pairs.agg(
        F.sum("rows").alias("rows"),
        F.sum(F.when(~ids, F.col("rows"))).alias("without_ids"),
        F.sum(F.when(ids, F.col("rows") - F.col("rated"))).alias("without_rating"),
        F.sum(F.when(several, F.col("rated") - 1)).alias("merged"),
        F.count_if((F.col("rated") > 0) & ~F.col("counts")).alias("not_positive"),
        F.count_if("counts").alias("interactions"),
        F.count_if(F.col("counts") & F.col("timestamp").isNull()).alias("without_timestamp"),
    ).collect()[0]
    # Apart, since Spark counts distinct values of two columns by writing each row twice.
    distinct = {
        f"{name}s": pairs.filter("counts").select(name).distinct().count() if said["interactions"] else 0
        for name in ("user", "item")
    }
    counts = InteractionCounts(**{name: value or 0 for name, value in said.asDict().items()}, **distinct)
    if not counts.interactions:
        raise InputError(f"there is nothing to learn from: {counts}")
    return counts


def _typed(ratings: DataFrame) -> DataFrame:
    timestamp = (
        time_column(ratings, "timestamp", "s", "timestamp")
        if "timestamp" in ratings.columns
        else F.lit(None).cast("timestamp")
    )
    return ratings.select(
        id_column(ratings, "user", "user").alias("user"),
        id_column(ratings, "item", "item").alias("item"),
        rating_column(ratings, "rating", "rating").alias("rating"),
        timestamp.alias("timestamp"),
    )


def _has_ids() -> Column:
    return F.col("user").isNotNull() & F.col("item").isNotNull()


def _has_rating() -> Column:
    rating = F.col("rating")
    # Spark holds NaN for larger than any number.
    return rating.isNotNull() & (F.abs(rating) <= F.lit(LARGEST))


def _counts(feedback: str) -> Column:
    """Whether a merged pair is an interaction."""
    if feedback not in FEEDBACK:
        raise SettingError(f"feedback={feedback!r} is unknown; {did_you_mean(feedback, FEEDBACK)}")
    return F.col("rating") > 0 if feedback == "implicit" else F.lit(True)
