"""Ids become codes that depend on nothing but the ids, and a trainer finds the same matrix in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brightspark.core.errors import InputError
from brightspark.recsys import interactions, stage_interactions
from brightspark.recsys.codes import coded, number
from brightspark.recsys.matrix import matrix_bytes, read_matrix
from brightspark.recsys.staged import StagedInteractions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def ratings(spark: SparkSession, count: int = 500) -> DataFrame:
    """Users are texts, items are numbers far apart."""
    draw = np.random.default_rng(0)
    rows = {
        (f"user {draw.integers(40)}", int(draw.integers(25)) * 10**9): float(draw.integers(1, 6)) for _ in range(count)
    }
    return spark.createDataFrame(
        [(*pair, rating) for pair, rating in rows.items()], "user string, item long, rating double"
    )


@pytest.mark.parametrize("column", ["user", "item"])
def test_codes_follow_from_the_ids_alone(spark: SparkSession, column: str) -> None:
    rows = ratings(spark)
    found = dict(number(rows, column).collect())
    assert sorted(found.values()) == list(range(len(found)))
    assert set(found) == {row[column] for row in rows.select(column).collect()}
    with_null = rows.select(column).union(spark.sql("SELECT NULL")).repartition(5).orderBy(column)
    assert dict(number(with_null, column).collect()) == found
    assert dict(number(rows.repartition(1), column).collect()) == found


def test_rows_without_a_code_are_left_out(spark: SparkSession) -> None:
    rows = ratings(spark)
    users, items = number(rows.filter("user != 'user 3'"), "user"), number(rows, "item")
    found = coded(rows, users, items)
    assert found.dtypes == [("user", "int"), ("item", "int"), ("rating", "float")]
    assert found.count() == rows.filter("user != 'user 3'").count() < rows.count()


def test_a_process_without_spark_finds_the_same_matrix(spark: SparkSession, tmp_path: Path) -> None:
    rows = interactions(ratings(spark))
    items = spark.createDataFrame([(7,), (0,), (None,)], "item long")  # one that nobody has rated, one that some have
    staged = stage_interactions(rows, str(tmp_path / "staged"), items=items)
    wanted = {(row["user"], row["item"]): row["rating"] for row in rows.collect()}
    assert staged.shape == (40, 26)
    assert len(staged.interactions) == len(wanted)
    maps = [
        dict(zip(*(shards.table([name, "code"]).column(column).to_pylist() for column in ("code", name)), strict=True))
        for shards, name in ((staged.users, "user"), (staged.items, "item"))
    ]
    matrix = read_matrix(StagedInteractions.open(str(tmp_path / "staged")))
    found = matrix.tocoo()
    assert found.dtype == np.float32
    assert wanted == {
        (maps[0][user], maps[1][item]): float(value)
        for user, item, value in zip(found.row, found.col, found.data, strict=True)
    }
    assert matrix.has_sorted_indices
    assert 7 in maps[1].values()
    binary = read_matrix(staged, binary=True)
    assert set(binary.data.tolist()) == {1.0}
    assert (binary != 0).nnz == matrix.nnz
    code = (
        "import sys; sys.modules['pyspark'] = sys.modules['torch'] = None\n"
        "from brightspark.recsys import parts, top, matrix, staged\n"
        "found = matrix.read_matrix(staged.StagedInteractions.open(sys.argv[1]))\n"
        "for name, kind in parts.KINDS.items():\n"
        "    if kind.reads is not None or not kind.unasked:  # which needs more, or torch, or Spark\n"
        "        continue\n"
        "    part = kind.fit(found, kind.settings())\n"
        "    assert next(top.recommend(part, found, 3)).items.shape == (40, 3), name\n"
        "print(found.sum())"
    )
    said = subprocess.check_output([sys.executable, "-c", code, str(tmp_path / "staged")], text=True)
    assert float(said) == matrix.sum()


def test_staging_again_is_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    rows, path = interactions(ratings(spark)), str(tmp_path / "staged")
    stage_interactions(rows, path)
    with pytest.raises(InputError, match=r"staged at .*users already.*overwrite=True"):
        stage_interactions(rows, path)
    (tmp_path / "staged" / "mine.txt").write_text("not staged by anybody")
    with pytest.raises(InputError, match=r"no interactions to stage at .*: what is there stays"):
        stage_interactions(rows.filter("false"), path, overwrite=True)
    assert len(StagedInteractions.open(path).interactions) == rows.count()
    fewer = stage_interactions(rows.filter("rating > 4"), path, overwrite=True)
    assert (tmp_path / "staged" / "mine.txt").exists()
    assert (
        len(StagedInteractions.open(path).interactions) == len(fewer.interactions) == rows.filter("rating > 4").count()
    )


def test_what_cannot_be_staged_is_told(spark: SparkSession, tmp_path: Path) -> None:
    rows = interactions(ratings(spark))
    with pytest.raises(InputError, match="no rows to stage"):
        stage_interactions(rows.limit(0), str(tmp_path / "empty"))
    with pytest.raises(InputError, match="bigint among the interactions and string among the items"):
        stage_interactions(rows, str(tmp_path / "mixed"), items=spark.createDataFrame([("7",)], "item string"))
    with pytest.raises(InputError, match="nothing is staged"):
        StagedInteractions.open(str(tmp_path / "empty"))


def test_more_memory_than_is_allowed_is_refused_before_reading(spark: SparkSession, tmp_path: Path) -> None:
    staged = stage_interactions(interactions(ratings(spark)), str(tmp_path / "staged"))
    needed = matrix_bytes(staged.shape[0], len(staged.interactions))
    assert read_matrix(staged, max_bytes=needed).nnz == len(staged.interactions)
    for file in tmp_path.rglob("*.parquet"):
        file.unlink()
    with pytest.raises(InputError, match=r"interactions take about 0\.0 GiB.*max_bytes"):
        read_matrix(staged, max_bytes=needed - 1)
