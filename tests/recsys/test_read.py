"""Ratings and items as DataFrames: ids of any kind, ratings or events, times in any unit."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brightspark.core.errors import InputError, SettingError
from brightspark.recsys import read_items, read_ratings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOMENT = 1_260_759_144  # seconds since 1970


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_csv_of_numbers(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", f"userId,movieId,rating,timestamp,more\n1,31,2.5,{MOMENT},x\n2,31,,,y\n")
    ratings = read_ratings(spark, path, user_col="userId", item_col="movieId")
    assert ratings.dtypes == [("user", "bigint"), ("item", "bigint"), ("rating", "double"), ("timestamp", "timestamp")]
    one, other = ratings.orderBy("user").collect()
    assert (one["user"], one["item"], one["rating"]) == (1, 31, 2.5)
    assert one["timestamp"].timestamp() == MOMENT
    assert (other["rating"], other["timestamp"]) == (None, None)


def test_ids_of_mixed_type_are_texts(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", '{"user": 7, "item": "a"}\n{"user": "seven", "item": "ü/1"}\n{"user": null}\n')
    ratings = read_ratings(spark, path, rating_col=None)
    assert {(row["user"], row["item"], row["rating"], row["timestamp"]) for row in ratings.collect()} == {
        ("7", "a", 1.0, None),
        ("seven", "ü/1", 1.0, None),
        (None, None, 1.0, None),
    }


@pytest.mark.parametrize(
    ("kind", "value", "unit"),
    [
        ("bigint", MOMENT, "s"),
        ("int", MOMENT, "s"),
        ("double", float(MOMENT), "s"),
        ("decimal(20,3)", MOMENT * 1_000, "ms"),
        ("bigint", MOMENT * 1_000, "ms"),
        ("bigint", MOMENT * 1_000_000, "us"),
        ("timestamp", datetime.fromtimestamp(MOMENT), "s"),
        ("string", "2009-12-14T02:52:24Z", "s"),
    ],
)
def test_times_of_any_kind(spark: SparkSession, tmp_path: Path, kind: str, value: Any, unit: str) -> None:
    rows = spark.sql("SELECT 'u' user, 'i' item, 1 rating").withColumn("at", _literal(value).cast(kind))
    rows.write.parquet(str(tmp_path / "r"))
    (row,) = read_ratings(spark, str(tmp_path / "r"), timestamp_col="at", time_unit=unit).collect()
    assert row["timestamp"].timestamp() == MOMENT


def _literal(value: Any) -> Any:
    from pyspark.sql import functions as F

    return F.lit(value)


@pytest.mark.parametrize("value", ["-", "9" * 18, "NaN", "-1e300"])
def test_what_is_no_moment_is_null(spark: SparkSession, tmp_path: Path, value: str) -> None:
    rows = spark.sql(f"SELECT 'u' user, 'i' item, 1 rating, '{value}' text, try_cast('{value}' AS double) number")
    rows.write.parquet(str(tmp_path / "r"))
    for column in ("text", "number"):
        (row,) = read_ratings(spark, str(tmp_path / "r"), timestamp_col=column).collect()
        assert row["timestamp"] is None, column


def test_ratings_of_any_kind(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql("SELECT 'u' user, 'i' item, '4.5' text, 'none' bad, true liked, 3S short").write.parquet(
        str(tmp_path / "r")
    )
    for column, wanted in {"text": 4.5, "bad": None, "liked": 1.0, "short": 3.0}.items():
        (row,) = read_ratings(spark, str(tmp_path / "r"), rating_col=column).collect()
        assert row["rating"] == wanted, column


def test_what_cannot_be_is_told(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql("SELECT 1.5D user, 1 item, array(1) rating, true at").write.parquet(str(tmp_path / "r"))
    path = str(tmp_path / "r")
    with pytest.raises(InputError, match=r"'user' \(user_col\) is double; ids are texts or whole numbers"):
        read_ratings(spark, path)
    with pytest.raises(InputError, match=r"'users' .user_col.; did you mean 'user'"):
        read_ratings(spark, path, user_col="users")
    with pytest.raises(InputError, match=r"'rating' .* is array<int>; ratings are numbers"):
        read_ratings(spark, path, user_col="item")
    with pytest.raises(InputError, match=r"no column 'stars'.*pass rating_col=None"):
        read_ratings(spark, path, user_col="item", rating_col="stars")
    with pytest.raises(InputError, match=r"'at' .timestamp_col. is boolean; want a timestamp"):
        read_ratings(spark, path, user_col="item", rating_col=None, timestamp_col="at")
    with pytest.raises(SettingError, match=r"'m' is unknown; did you mean 'ms'"):
        read_ratings(spark, path, user_col="item", rating_col=None, timestamp_col="at", time_unit="m")


def test_items_keep_what_is_known_of_them(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "i.jsonl", '{"id": 3, "title": "Dumbo", "a.b": ["x"]}\n')
    items = read_items(spark, path, item_col="id")
    assert items.dtypes == [("item", "bigint"), ("a.b", "array<string>"), ("title", "string")]
    assert items.collect()[0].asDict() == {"item": 3, "a.b": ["x"], "title": "Dumbo"}
    path = write(tmp_path / "j.jsonl", '{"id": 3, "item": "Dumbo"}\n')
    with pytest.raises(InputError, match="a column 'item' besides 'id'"):
        read_items(spark, path, item_col="id")
