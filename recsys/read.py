"""Ratings and items as DataFrames, from any table that the session can read. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from brightspark.core.errors import InputError
from brightspark.core.tables import read_table
from brightspark.core.transform import quoted
from brightspark.recsys.columns import id_column, rating_column, time_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_ratings(
    spark: SparkSession,
    path: str,
    *,
    format: str | None = None,
    user_col: str = "user",
    item_col: str = "item",
    rating_col: str | None = "rating",
    timestamp_col: str | None = None,
    time_unit: str = "s",
) -> DataFrame:
    """Who rated what, how and when: the columns `user`, `item`, `rating` and `timestamp` of a table.

    The table is Parquet, CSV, JSON lines, or of any `format` that the session knows. Ids are texts or whole numbers, of
    any kind, and come back as string or bigint. `rating` is double; `rating_col=None` reads events (a purchase, a
    play), each of which counts 1. `timestamp` is the column `timestamp_col`, by default `timestamp` where the table has
    one, and else null; numbers are `time_unit` since 1970: s, ms or us.

    Nothing is left out here: what cannot be read as a number or a moment is null, and `interactions` says what it does
    with such rows. Spark guesses the types of a CSV's columns: ids with leading zeros are safe in Parquet or JSON only.

    Raises InputError for a column that is missing or of a type that cannot be, SettingError for an unknown unit.

    >>> ratings = read_ratings(spark, "ratings.csv", user_col="userId", item_col="movieId")  # doctest: +SKIP
    """
    table = read_table(spark, path, format=format)
    if timestamp_col is None and "timestamp" in table.columns:
        timestamp_col = "timestamp"
    if rating_col is not None and rating_col not in table.columns:
        raise InputError(
            f"{path} has no column {rating_col!r}; it has {', '.join(map(repr, table.columns))}. Name the one that "
            "holds the ratings with rating_col=, or pass rating_col=None where each row is an event that counts 1"
        )
    return table.select(
        id_column(table, user_col, "user_col").alias("user"),
        id_column(table, item_col, "item_col").alias("item"),
        (F.lit(1.0) if rating_col is None else rating_column(table, rating_col, "rating_col")).alias("rating"),
        (
            F.lit(None).cast("timestamp")
            if timestamp_col is None
            else time_column(table, timestamp_col, time_unit, "timestamp_col")
        ).alias("timestamp"),
    )


def read_items(spark: SparkSession, path: str, *, format: str | None = None, item_col: str = "item") -> DataFrame:
    """What is known of each item: a table's columns, with its ids as `item`, string or bigint, in front.

    Raises InputError for a column that is missing or of a type that cannot be, and where `item_col` names another
    column than the table's own `item`.

    >>> items = read_items(spark, "films.parquet", item_col="movieId")  # doctest: +SKIP
    """
    table = read_table(spark, path, format=format)
    if item_col != "item" and "item" in table.columns:
        raise InputError(
            f"{path} has a column 'item' besides {item_col!r}: rename or drop it, for `item` holds the ids"
        )
    others = [F.col(quoted(name)) for name in table.columns if name != item_col]
    return table.select(id_column(table, item_col, "item_col").alias("item"), *others)
