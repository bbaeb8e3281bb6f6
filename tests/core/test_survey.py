"""The look at rows before they are learned from: labels, sides, and a fingerprint; nothing of it depends on order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from brightspark.core.errors import InputError
from brightspark.core.survey import is_held_out, label_names, survey, survey_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """A thousand rows of a hundred patients; every tenth has no label."""
    kind = F.when(F.col("id") % 10 == 0, None).when(F.col("id") % 3 == 0, "b").otherwise("a")
    patient = (F.col("id") % 100).cast("string")
    return spark.range(1000).select("id", patient.alias("patient"), kind.alias("label"))


def test_labels_and_sides_are_counted(rows: DataFrame) -> None:
    found = survey(rows, label="label", group=["id"], share=0.2)
    assert found.labels == ("a", "b")
    assert found.rows + found.held_out == 900
    assert found.unlabelled == 100
    assert 120 < found.held_out < 240
    side = rows.filter("label is not null").filter(is_held_out(["id"], 0.2, found.moved))
    assert side.count() == found.held_out
    learn = rows.filter("label is not null").filter(~is_held_out(["id"], 0.2, found.moved))
    counted = {row["label"]: row["count"] for row in learn.groupBy("label").count().collect()}
    assert dict(zip(found.labels, found.counts, strict=True)) == counted


def test_no_group_stands_on_both_sides(rows: DataFrame) -> None:
    sides = rows.groupBy("patient").agg(F.count_distinct(is_held_out(["patient"], 0.3, ())).alias("sides"))
    assert sides.filter("sides > 1").count() == 0
    assert 0 < rows.filter(is_held_out(["patient"], 0.3, ())).count() < 1000


def test_the_same_rows_are_the_same_in_any_order_and_others_are_not(rows: DataFrame) -> None:
    found, again = (
        survey(df, label="label", group=["id"], share=0.2) for df in (rows, rows.repartition(7).orderBy("id"))
    )
    assert found == again
    other = rows.withColumn("label", F.when(F.col("id") == 1, "b").otherwise(F.col("label")))
    assert survey(other, label="label", group=["id"], share=0.2).fingerprint != found.fingerprint
    assert survey(rows, label="label", group=["id"], share=0.3).fingerprint != found.fingerprint


def test_other_rows_of_the_same_groups_are_others(rows: DataFrame) -> None:
    told = {"label": "label", "group": ["patient"], "share": 0.2, "key": ["id"]}
    found, moved = (survey(df, **told) for df in (rows, rows.withColumn("id", F.col("id") + 1000)))  # type: ignore[arg-type]
    assert found.fingerprint != moved.fingerprint
    assert found.counts == moved.counts


def test_rows_that_are_added_move_nobody_to_the_other_side(rows: DataFrame) -> None:
    held = {row["id"] for row in rows.filter(is_held_out(["id"], 0.2, ())).collect()}
    more = rows.select("id").unionAll(rows.select((F.col("id") + 1000).alias("id")))
    assert {row["id"] for row in more.filter(is_held_out(["id"], 0.2, ())).collect() if row["id"] < 1000} == held


def test_a_label_keeps_a_row_to_learn_from(rows: DataFrame) -> None:
    held = rows.filter(is_held_out(["patient"], 0.3, ())).select("id", "patient").first()
    assert held is not None
    rare = rows.withColumn(
        "label", F.when(F.col("id") == held["id"], "rare").otherwise(F.coalesce("label", F.lit("a")))
    )
    found = survey(rare, label="label", group=["patient"], share=0.3)
    assert dict(zip(found.labels, found.counts, strict=True))["rare"] == 1
    assert len(found.moved) == 1
    learn = rare.filter(~is_held_out(["patient"], 0.3, found.moved))
    assert learn.filter(F.col("patient") == held["patient"]).count() == 10  # the whole group, so that none is torn
    assert learn.count() == found.rows


def test_whole_numbers_are_sorted_by_size(spark: SparkSession) -> None:
    rows = spark.range(60).select("id", (F.col("id") % 12).cast("int").alias("label"))
    assert survey(rows, label="label", group=["id"], share=0.0).labels == tuple(map(str, range(12)))


def test_several_labels_are_counted_each(spark: SparkSession) -> None:
    made = [(1, ["x", "y"]), (2, ["x", "x", None]), (3, []), (4, None)]
    found = survey(spark.createDataFrame(made, "id int, label array<string>"), label="label", group=["id"], share=0.0)
    assert found.multi_label
    assert (found.labels, found.counts) == (("x", "y"), (2, 1))
    assert (found.rows, found.unlabelled) == (3, 1)


def test_what_names_nothing_is_refused(spark: SparkSession, rows: DataFrame) -> None:
    with pytest.raises(InputError, match="is double; labels are texts"):
        label_names(rows.withColumn("label", F.rand()), "label")
    with pytest.raises(InputError, match=r"no column 'labl' \(label_col\); did you mean 'label'"):
        label_names(rows, "labl")
    with pytest.raises(InputError, match="no rows: there is nothing"):
        survey(rows.limit(0), label="label", group=["id"], share=0.1)
    with pytest.raises(InputError, match="none of the 1,000 rows has a label"):
        survey(rows.withColumn("label", F.lit(None).cast("string")), label="label", group=["id"], share=0.1)
    with pytest.raises(InputError, match="all rows have the label 'a'"):
        survey(rows.filter("label = 'a'"), label="label", group=["id"], share=0.1)


def test_rows_whose_truth_is_no_label_have_sides_and_a_fingerprint_too(rows: DataFrame) -> None:
    said = rows.withColumn("truth", F.when(F.col("id") % 10 > 0, F.concat(F.lit("says "), "id")))
    told = {"group": ["patient"], "share": 0.2, "key": ["id"]}
    found, again = (survey_rows(df, "truth", **told) for df in (said, said.repartition(7).orderBy("truth")))  # type: ignore[arg-type]
    assert found == again
    assert (found.rows + found.held_out, found.unlabelled, found.labels) == (900, 100, ())
    held_out = said.filter("truth is not null").filter(is_held_out(["patient"], 0.2, ()))
    assert held_out.count() == found.held_out > 0
    other = said.withColumn("truth", F.upper("truth"))
    assert survey_rows(other, "truth", **told).fingerprint != found.fingerprint  # type: ignore[arg-type]


def test_rows_without_any_truth_are_refused(rows: DataFrame) -> None:
    told = {"group": ["id"], "share": 0.2}
    with pytest.raises(InputError, match="no column 'truht'; did you mean 'truth'"):
        survey_rows(rows.withColumn("truth", F.lit("a")), "truht", **told)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="null in all of the 1,000 rows"):
        survey_rows(rows.withColumn("truth", F.lit(None).cast("string")), "truth", **told)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no rows"):
        survey_rows(rows.limit(0), "label", **told)  # type: ignore[arg-type]
