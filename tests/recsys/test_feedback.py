"""Ratings become interactions: each pair once by the rule that is asked for, and what cannot be is counted."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from brightspark.core.errors import InputError, SettingError
from brightspark.recsys import count_interactions, interactions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "user string, item string, rating double, timestamp timestamp"


def at(day: int | None) -> datetime | None:
    return None if day is None else datetime(2020, 1, day)


def table(spark: SparkSession, rows: list[tuple[Any, Any, Any, int | None]]) -> DataFrame:
    return spark.createDataFrame([(*row[:3], at(row[3])) for row in rows], SCHEMA).repartition(3)


DOUBLED = [
    ("a", "x", 4.0, 2), ("a", "x", 1.0, 3), ("a", "x", 5.0, None),
    ("b", "x", 2.0, None), ("b", "x", 3.0, None), ("c", "y", 1.0, 5), ("c", "y", 2.0, 5),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("last", {("a", "x"): (1.0, 3), ("b", "x"): (3.0, None), ("c", "y"): (2.0, 5)}),
        ("sum", {("a", "x"): (10.0, 3), ("b", "x"): (5.0, None), ("c", "y"): (3.0, 5)}),
        ("max", {("a", "x"): (5.0, 3), ("b", "x"): (3.0, None), ("c", "y"): (2.0, 5)}),
        ("mean", {("a", "x"): (10 / 3, 3), ("b", "x"): (2.5, None), ("c", "y"): (1.5, 5)}),
    ],
)
def test_duplicates_are_merged_by_the_rule(
    spark: SparkSession, rule: str, wanted: dict[tuple[str, str], tuple[float, int | None]]
) -> None:
    found = interactions(table(spark, DOUBLED), duplicates=rule)
    assert found.dtypes == [("user", "string"), ("item", "string"), ("rating", "double"), ("timestamp", "timestamp")]
    rows = {(row["user"], row["item"]): (row["rating"], row["timestamp"]) for row in found.collect()}
    assert rows == {pair: (pytest.approx(rating), at(day)) for pair, (rating, day) in wanted.items()}


BAD = [
    ("a", "x", 1.0, 1), (None, "x", 1.0, 1), ("a", None, 1.0, 1), (None, None, math.nan, 1),
    ("a", "y", math.nan, 1), ("a", "y", math.inf, 1), ("a", "y", -math.inf, 1), ("a", "y", None, 1),
    ("a", "y", 1e31, 1), ("b", "x", -1.0, 1), ("b", "y", 0.0, None), ("b", "z", 2.0, None), ("b", "z", -2.0, None),
]  # fmt: skip


def test_what_cannot_be_is_left_out_and_counted(spark: SparkSession) -> None:
    rows = table(spark, BAD)
    kept = interactions(rows, duplicates="sum")
    assert [(row["user"], row["item"]) for row in kept.collect()] == [("a", "x")]
    counts = count_interactions(rows, duplicates="sum")
    assert counts.to_dict() == {
        "rows": 13, "without_ids": 3, "without_rating": 5, "merged": 1, "not_positive": 3, "interactions": 1,
        "without_timestamp": 0, "users": 1, "items": 1,
    }  # fmt: skip
    assert str(counts) == (
        "1 interactions of 1 users with 1 items, from 13 rows: 3 rows without user or item, 5 rows without a finite "
        "rating, 1 rows merged into another of their pair, 3 pairs not above 0"
    )


def test_explicit_ratings_may_be_negative(spark: SparkSession) -> None:
    rows = table(spark, BAD)
    kept = interactions(rows, duplicates="sum", feedback="explicit")
    assert {(row["user"], row["item"]): row["rating"] for row in kept.collect()} == {
        ("a", "x"): 1.0, ("b", "x"): -1.0, ("b", "y"): 0.0, ("b", "z"): 0.0
    }  # fmt: skip
    counts = count_interactions(rows, duplicates="sum", feedback="explicit")
    assert (counts.interactions, counts.not_positive, counts.without_timestamp, counts.users) == (4, 0, 2, 2)


def test_nothing_to_learn_from_is_told_with_the_reasons(spark: SparkSession) -> None:
    with pytest.raises(
        InputError, match=r"nothing to learn from: 0 interactions of 0 users with 0 items, from 0 rows$"
    ):
        count_interactions(table(spark, []))
    with pytest.raises(InputError, match="from 1 rows: 1 rows without a finite rating"):
        count_interactions(table(spark, [("a", "x", math.nan, 1)]))
    with pytest.raises(InputError, match="1 pairs not above 0"):
        count_interactions(table(spark, [("a", "x", -1.0, 1)]))
    assert count_interactions(table(spark, [("a", "x", -1.0, 1)]), feedback="explicit").interactions == 1


def test_tables_of_other_types_and_without_times(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, 2, 3), (1, 2, 4)], "user int, item short, rating int")
    assert interactions(rows).collect() == [(1, 2, 4.0, None)]
    with pytest.raises(InputError, match=r"no column 'rating'.*did you mean 'ratings'"):
        interactions(rows.withColumnRenamed("rating", "ratings"))
    with pytest.raises(InputError, match=r"'user' \(user\) is array<int>"):
        interactions(rows.selectExpr("array(user) user", "item", "rating"))
    with pytest.raises(SettingError, match="duplicates='first' is unknown"):
        interactions(rows, duplicates="first")
    with pytest.raises(SettingError, match="did you mean 'implicit'"):
        count_interactions(rows, feedback="implict")
