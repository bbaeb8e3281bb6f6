"""What is known of items becomes numbers that are stated beforehand, whatever is null, new, rare or there twice."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from brightspark.core.errors import ArtifactError, InputError, SettingError
from brightspark.recsys import interactions, stage_interactions
from brightspark.recsys.encoding import Encoding, EncodingSettings
from brightspark.recsys.feature_matrix import read_features
from brightspark.recsys.features import encode, learn_encoding
from brightspark.recsys.staged import StagedInteractions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COLUMNS = "item long, title string, price double, kind string, tags array<string>, text array<float>"
ROWS: list[Any] = [
    (1, "Dumbo", 1.0, "film", ["war", "sad", "war"], [0.5, 1.0]),
    (2, "Alien", 3.0, "film", ["war", None, ""], [1.5, 2.0]),
    (3, "Sense", None, "book", ["sad", "only"], None),
    (4, "Emma", 5.0, "book", [], []),
    (5, "Dune", float("nan"), "game", None, [2.5, float("nan")]),
    (6, "Ran", 3.0, None, ["sad"], [0.0, 0.0]),
    (None, "Lost", 1e6, "lost", ["lost"], [1.0]),
]
NAMES = ("price", "price: missing", "kind: book", "kind: film", "tags: sad", "tags: war", "text[0]", "text[1]")


@pytest.fixture(scope="module")
def items(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, COLUMNS)


@pytest.fixture(scope="module")
def encoding(items: DataFrame) -> Encoding:
    return learn_encoding(items)


def features(table: DataFrame, encoding: Encoding) -> dict[Any, list[float]]:
    encoded = encode(table, encoding)
    assert encoded.dtypes[1] == ("features", "array<float>")
    return {row["item"]: [round(value, 4) for value in row["features"]] for row in encoded.collect()}


def test_each_column_becomes_its_features(items: DataFrame, encoding: Encoding) -> None:
    spread = float(np.std([1, 3, 5, 3]))
    assert encoding.names == NAMES
    assert features(items, encoding) == {
        1: [round(-2 / spread, 4), 0, 0, 1, 1, 1, 0.5, 1],
        2: [0, 0, 0, 1, 0, 1, 1.5, 2],
        3: [0, 1, 1, 0, 1, 0, 0, 0],
        4: [round(2 / spread, 4), 0, 1, 0, 0, 0, 0, 0],
        5: [0, 1, 0, 0, 0, 0, 2.5, 0],
        6: [0, 0, 0, 0, 1, 0, 0, 0],
    }


def test_titles_are_left_out_and_the_log_says_so(items: DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        left_out = learn_encoding(items.selectExpr("*", "struct(item) AS made", "7 AS same", "null AS none")).left_out
    assert left_out["title"].startswith("nearly each value is different")
    assert (left_out["same"], left_out["none"]) == ("it is the same for all items", "it is void")
    assert left_out["made"] == "it is struct<item:bigint>"
    assert "title: nearly each value is different" in caplog.text


def test_the_most_frequent_values_are_kept_and_ties_go_by_name(spark: SparkSession) -> None:
    values = ["b"] * 4 + ["a"] * 3 + ["d"] * 2 + ["c"] * 2 + ["once"]
    items = spark.createDataFrame(list(enumerate(values)), "item long, kind string")
    for table, bound, wanted in (
        (items, 2, "ba"),
        (items.orderBy("kind").repartition(5), 3, "bac"),
        (items, 9, "bacd"),
    ):
        found = learn_encoding(table, EncodingSettings(max_categories=bound))
        assert found.names == tuple(f"kind: {value}" for value in wanted)
    assert learn_encoding(items, EncodingSettings(min_items=3)).names == ("kind: b", "kind: a")
    few = EncodingSettings(max_categories=1, min_share=0.5)
    assert "make up 33%" in learn_encoding(items, few).left_out["kind"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("tinyint", [1, 2]),
        ("decimal(20,3)", [Decimal("1.5"), Decimal("2.5")]),
        ("boolean", [False, True]),
        ("date", [date(1950, 1, 1), date(2020, 1, 1)]),
        ("timestamp", [datetime(1950, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)]),
        ("timestamp_ntz", [datetime(1950, 1, 1), datetime(2020, 1, 1)]),
    ],
)
def test_numbers_of_any_type_are_standardised(spark: SparkSession, kind: str, values: list[Any]) -> None:
    items = spark.createDataFrame(list(enumerate(values)), f"item long, number {kind}")
    assert features(items, learn_encoding(items)) == {0: [-1.0], 1: [1.0]}


def test_slips_among_numbers_do_not_outshout_the_others(spark: SparkSession) -> None:
    rows = [(number, float(number % 7)) for number in range(1000)] + [(1000, 1e9), (1001, float("inf")), (1002, 1e300)]
    items = spark.createDataFrame(rows, "item long, price double")
    found = features(items, learn_encoding(items))
    assert max(value for value, _ in found.values()) == 10
    assert found[1001] == found[1002] == [0, 1]


def test_items_that_come_later_are_encoded_by_what_was_learned(spark: SparkSession, encoding: Encoding) -> None:
    later = spark.createDataFrame(
        [(9, "New", 5.0, "toy", ["war", "new"], [1.0, 2.0, 3.0]), (10, "Newer", None, None, None, None)], COLUMNS
    )
    found = features(later, encoding)
    assert found[9][1:] == [0, 0, 0, 0, 1, 0, 0]  # a kind and a tag that nobody knew, and a longer vector
    assert found[10] == [0, 1, 0, 0, 0, 0, 0, 0]


def test_an_encoding_is_kept_as_json(items: DataFrame, encoding: Encoding) -> None:
    kept = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert kept == encoding
    assert features(items, kept) == features(items, encoding)
    for broken in ({}, {"columns": [{"kind": "other"}], "left_out": {}}, {"columns": [{"kind": "vector"}]}):
        with pytest.raises(ArtifactError, match="no encoding of items"):
            Encoding.from_dict(broken)


def test_vectors_of_spark_ml_are_taken_too(spark: SparkSession) -> None:
    from pyspark.ml.functions import array_to_vector

    items = spark.sql("SELECT * FROM VALUES (1, array(1D, 2D)), (2, array(3D, 4D)) AS t(item, text)")
    vectors = items.select("item", array_to_vector("text").alias("text"))
    assert features(vectors, learn_encoding(vectors)) == {1: [1, 2], 2: [3, 4]}


@pytest.mark.parametrize("name", ["item", "other"])
def test_the_order_of_rows_changes_nothing(spark: SparkSession, name: str) -> None:
    draw = np.random.default_rng(0)
    items = spark.createDataFrame(
        [(number, float(value), float(-value)) for number, value in enumerate(draw.normal(1e6, 1, 2_000))],
        "item long, price double, other double",
    )
    assert learn_encoding(items.orderBy(name).repartition(7)) == learn_encoding(items)


def test_what_cannot_be_is_told(spark: SparkSession, items: DataFrame, encoding: Encoding) -> None:
    with pytest.raises(InputError, match="2 items are there more than once, such as 1 in 3 rows: keep one row of each"):
        learn_encoding(items.union(items.filter("item < 3")).union(items.filter("item = 1")))
    with pytest.raises(InputError, match="no items to learn an encoding from"):
        learn_encoding(items.filter("item IS NULL"))
    with pytest.raises(InputError, match="arrays of the column 'text' have from 1 to 2 numbers"):
        learn_encoding(items.union(spark.createDataFrame([(8, "", None, None, None, [1.0])], COLUMNS)))
    with pytest.raises(InputError, match="no column 'kind'; did you mean 'kinds'"):
        encode(items.withColumnRenamed("kind", "kinds"), encoding)
    with pytest.raises(InputError, match="'price' is string, and the encoding was learned from numbers"):
        encode(items.withColumn("price", items["price"].cast("string")), encoding)
    with pytest.raises(InputError, match="no column 'item'"):
        learn_encoding(items.drop("item"))
    with pytest.raises(SettingError, match="min_share=2"):
        EncodingSettings(min_share=2)


def test_a_trainer_finds_the_features_in_the_order_of_the_codes(
    spark: SparkSession, items: DataFrame, encoding: Encoding, tmp_path: Path
) -> None:
    ratings = spark.createDataFrame([("a", 1, 1.0), ("b", 77, 1.0)], "user string, item long, rating double")
    encoded = encode(items, encoding)
    path = str(tmp_path / "staged")
    staged = stage_interactions(interactions(ratings), path, features=encoded)
    codes = {row["item"]: row["code"] for row in staged.items.table(["item", "code"]).to_pylist()}
    assert set(codes) == {1, 2, 3, 4, 5, 6, 77}
    found = read_features(StagedInteractions.open(path))
    assert found is not None
    assert (found.shape, found.dtype) == ((7, len(NAMES)), np.float32)
    assert not found[codes[77]].any()
    for item, values in features(items, encoding).items():
        np.testing.assert_allclose(found[codes[item]], values, atol=1e-4)
    with pytest.raises(InputError, match=r"features of 7 items take about 0\.0 GiB"):
        read_features(staged, max_bytes=100)
    with pytest.raises(InputError, match="1 items are there more than once"):
        stage_interactions(interactions(ratings), path, features=encoded.union(encoded.limit(1)), overwrite=True)
    assert StagedInteractions.open(path).features is not None  # it was told beforehand
    again = stage_interactions(interactions(ratings), path, overwrite=True)
    assert read_features(again) is read_features(StagedInteractions.open(path)) is None
