"""Staging: what is staged is what is read, by every rank, as a whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.sql import functions as F

from brightspark.core import stage as staging
from brightspark.core.errors import BudgetError, InputError, StorageError
from brightspark.core.manifest import Manifest, read_manifest
from brightspark.core.shards import Shards
from brightspark.core.stage import stage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 300


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def rows(spark: SparkSession, count: int = ROWS, partitions: int = 4) -> DataFrame:
    """Bytes, text, an array, a number and a struct, each null somewhere."""

    def at_times(column: Any, each: int) -> Any:
        return F.when(F.col("id") % each != 0, column)

    return spark.range(0, count, 1, partitions).select(
        "id",
        at_times(F.repeat(F.col("id").cast("string"), 100).cast("binary"), 7).alias("content"),
        at_times(F.format_string("label %d", F.col("id") % 3), 5).alias("label"),
        at_times(F.transform(F.sequence(F.lit(0), (F.col("id") % 4).cast("int")), lambda x: x * 0.5), 11).alias("v"),
        at_times(F.col("id") / 3, 13).alias("number"),
        F.struct(F.col("id").alias("a"), F.lit("b").alias("b")).alias("pair"),
    )


def test_every_row_is_read_as_it_was_staged(spark: SparkSession, tmp_path: Path) -> None:
    df = rows(spark)
    manifest = stage(df, str(tmp_path / "staged"))
    wanted = {row["id"]: row.asDict(recursive=True) for row in df.collect()}
    read = Shards.open(str(tmp_path / "staged")).rows()
    assert len(read) == manifest.rows == ROWS
    found = read.__getitems__(list(np.random.default_rng(0).permutation(ROWS)))
    assert {row["id"]: row for row in found} == wanted


def test_rows_come_in_the_order_that_is_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    stage(rows(spark), str(tmp_path / "staged"))
    read = Shards.open(str(tmp_path / "staged")).rows(["id"])
    everything = [row["id"] for row in read.__getitems__(range(ROWS))]
    assert [row["id"] for row in read.__getitems__([17, 3, 17, 299])] == [
        everything[place] for place in (17, 3, 17, 299)
    ]
    assert read[5] == {"id": everything[5]}


def test_light_columns_are_read_without_the_heavy_ones(spark: SparkSession, tmp_path: Path, own_cache: Path) -> None:
    manifest = stage(rows(spark), str(tmp_path / "staged"))
    shards = Shards.open(str(tmp_path / "staged"))
    table = shards.table(["label", "id"])
    assert table.column_names == ["label", "id"]
    assert sorted(table.column("id").to_pylist()) == list(range(ROWS))
    assert table.nbytes < manifest.bytes
    assert not own_cache.exists(), "a copy of everything was made for two columns"
    with pytest.raises(InputError, match="did you mean 'label'"):
        shards.table(["labl"])


def test_vectors_and_maps_become_arrays(spark: SparkSession, tmp_path: Path) -> None:
    from pyspark.ml.functions import array_to_vector

    df = spark.range(2).select(
        "id",
        array_to_vector(F.array(F.lit(1.0), F.col("id").cast("double"))).alias("features"),
        F.create_map(F.lit("b"), F.col("id"), F.lit("a"), F.lit(7)).alias("facts"),
    )
    stage(df, str(tmp_path / "staged"))
    found = sorted(Shards.open(str(tmp_path / "staged")).rows().__getitems__([0, 1]), key=lambda row: row["id"])
    assert found[1]["features"] == [1.0, 1.0]
    assert found[1]["facts"] == [{"key": "a", "value": 7}, {"key": "b", "value": 1}]


def test_the_hash_knows_the_rows_and_not_their_order(spark: SparkSession, tmp_path: Path) -> None:
    df = rows(spark)
    first = stage(df, str(tmp_path / "first"))
    shuffled = stage(df.repartition(3, F.hash("id")), str(tmp_path / "shuffled"))
    changed = stage(
        df.withColumn("number", F.when(F.col("id") == 8, 0.0).otherwise(F.col("number"))), str(tmp_path / "c")
    )
    twice = stage(df.union(df.filter("id = 8")), str(tmp_path / "twice"))
    assert shuffled.row_hash == first.row_hash
    assert len({first.row_hash, changed.row_hash, twice.row_hash}) == 3
    assert first.digest != shuffled.digest


def test_what_is_staged_is_not_staged_over_unless_asked(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "staged"
    stage(rows(spark), str(path))
    with pytest.raises(InputError, match=f"{ROWS} rows are staged at .* already"):
        stage(rows(spark, 10), str(path))
    assert len(Shards.open(str(path)).rows()) == ROWS
    stage(rows(spark, 10), str(path), overwrite=True)
    assert sorted(row["id"] for row in Shards.open(str(path)).rows().__getitems__(range(10))) == list(range(10))
    assert len([folder for folder in path.iterdir() if folder.is_dir()]) == 1, "the old rows are still there"


def test_a_staging_that_fails_leaves_what_was_there(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "staged"
    before = stage(rows(spark), str(path))
    failing = rows(spark).withColumn("number", F.raise_error(F.lit("a broken source")).cast("double"))
    with pytest.raises(Exception, match="a broken source"):
        stage(failing, str(path), overwrite=True)
    assert read_manifest(str(path)) == before
    assert len(Shards.open(str(path)).rows()) == ROWS
    assert [folder.name for folder in path.iterdir() if folder.is_dir()] == [before.shards[0].name.split("/")[0]]


def test_half_a_staging_is_never_seen(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "staged"
    stage(rows(spark), str(path))
    (path / "manifest.json").unlink()  # what a driver leaves that was killed before the end
    with pytest.raises(InputError, match="nothing is staged"):
        Shards.open(str(path))
    stage(rows(spark, 20), str(path))
    assert len(Shards.open(str(path))) == 20


def test_no_rows_are_an_error(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rows"):
        stage(rows(spark).limit(0), str(tmp_path / "staged"))
    assert read_manifest(str(tmp_path / "staged")) is None


def test_empty_partitions_are_no_shards(spark: SparkSession, tmp_path: Path) -> None:
    manifest = stage(rows(spark, 3, partitions=8), str(tmp_path / "staged"))
    assert sum(shard.rows for shard in manifest.shards) == 3
    assert all(shard.rows for shard in manifest.shards)
    assert len(Shards.open(str(tmp_path / "staged")).rows()) == 3


def test_columns_that_cannot_be_stored_are_named(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'nothing' is void"):
        stage(spark.range(2).withColumn("nothing", F.lit(None)), str(tmp_path / "staged"))
    with pytest.raises(InputError, match="more than once"):
        stage(spark.range(2).select("id", F.col("id").alias("ID")), str(tmp_path / "staged"))


def test_row_groups_are_bounded_in_bytes(spark: SparkSession, tmp_path: Path) -> None:
    megabyte = F.repeat(F.sha2(F.col("id").cast("string"), 512), 1 << 13).cast("binary")
    manifest = stage(spark.range(0, 96, 1, 1).select("id", megabyte.alias("content")), str(tmp_path / "staged"))
    (shard,) = manifest.shards
    assert shard.raw_bytes > 90 << 20
    assert max(shard.row_groups) << 20 <= 1.25 * staging.ROW_GROUP_BYTES


def test_a_damaged_or_unknown_manifest_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "staged"
    stage(rows(spark, 5), str(path))
    file = path / "manifest.json"
    written = file.read_text()
    for changed, words in (
        (written[:40], "is damaged"),
        (json.dumps({**json.loads(written), "format_version": 99}), "format version 99"),
        (json.dumps({"format_version": 1}), "is damaged"),
    ):
        file.write_text(changed)
        with pytest.raises(InputError, match=words):
            Shards.open(str(path))


def test_many_processes_make_one_copy(spark: SparkSession, tmp_path: Path, own_cache: Path) -> None:
    manifest = stage(rows(spark), str(tmp_path / "staged"))
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        lengths = pool.map(_count, [str(tmp_path / "staged")] * 6)
    assert lengths == [ROWS] * 6
    assert [folder.name for folder in (own_cache / "shards").iterdir() if folder.is_dir()] == [manifest.digest]
    shutil.rmtree(tmp_path / "staged" / manifest.shards[0].name.split("/")[0])
    assert len(Shards(manifest).rows()[7]) == len(manifest.columns), "the copy was not used"


def _count(path: str) -> int:
    return len(Shards.open(path).rows())


def test_a_copy_that_does_not_fit_is_refused_before_it_is_begun(
    spark: SparkSession, tmp_path: Path, own_cache: Path
) -> None:
    shards = Shards.open(stage(rows(spark), str(tmp_path / "staged")).path)
    huge = [{**vars(shard), "raw_bytes": 1 << 60} for shard in shards.manifest.shards]
    manifest = Manifest(
        **{**vars(shards.manifest), "shards": tuple(type(shards.manifest.shards[0])(**one) for one in huge)}
    )
    with pytest.raises(StorageError, match="BRIGHTSPARK_CACHE"):
        Shards(manifest).rows()
    assert not list((own_cache / "shards").rglob("*.arrow"))


def test_rows_with_an_error_are_left_out_and_counted(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.range(10).selectExpr("id", "if(id % 5 = 0, concat('row ', id, ': cut'), null) as error")
    staged = stage(rows, str(tmp_path / "rows"), error="error", max_errors=2)
    assert (staged.rows, staged.failed, list(staged.columns)) == (8, 2, ["id"])
    with pytest.raises(BudgetError, match="2 of 10 rows cannot be read, more than the 1 that are allowed; one"):
        stage(rows, str(tmp_path / "fewer"), error="error", max_errors=1)
    assert not list((tmp_path / "fewer").glob("**/*.parquet"))
    with pytest.raises(InputError, match="none of 2 rows can be read; one of them: row 0: cut"):
        stage(rows.filter("error is not null"), str(tmp_path / "none"), error="error", max_errors=2)
    with pytest.raises(InputError, match="nothing is staged"):
        Shards.open(str(tmp_path / "fewer"))


@pytest.mark.parametrize("reason", ["'the source is gone'", "concat('row ', id, ': cut')"], ids=["literal", "not null"])
def test_rows_that_spark_knows_to_fail_are_counted_too(spark: SparkSession, tmp_path: Path, reason: str) -> None:
    """Spark plans no scan of rows that a filter surely drops."""
    rows = spark.range(10).selectExpr("id", f"{reason} as error")
    assert not rows.schema["error"].nullable
    with pytest.raises(InputError, match=r"none of 10 rows can be read; one of them: (the source|row 0)"):
        stage(rows, str(tmp_path / "none"), error="error", max_errors=10)
    assert read_manifest(str(tmp_path / "none")) is None
    good = spark.range(10).select("id", F.lit(None).cast("string").alias("error"))
    assert stage(good, str(tmp_path / "all"), error="error").rows == 10
