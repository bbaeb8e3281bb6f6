"""Histories of users, written by Spark or from a matrix, are what was staged: bounded, apart, and in the same order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from brightspark.core.shards import Shards
from brightspark.recsys import stage_interactions
from brightspark.recsys.feature_matrix import features_of, read_features
from brightspark.recsys.histories import write_histories
from brightspark.recsys.history_staging import stage_histories
from brightspark.recsys.matrix import read_matrix
from brightspark.recsys.towers_fit import train_towers
from brightspark.recsys.towers_settings import TowersSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from brightspark.recsys.staged import StagedInteractions


def lists(path: str | None) -> list[list[int]]:
    assert path is not None
    rows: list[list[int]] = Shards.open(path).table(["items"]).column("items").to_pylist()
    return rows


def matrix(users: int = 50, items: int = 12) -> csr_matrix:
    return csr_matrix((np.random.default_rng(0).random((users, items)) < 0.4).astype(np.float32))


def test_a_matrix_is_written_row_by_row(tmp_path: Path) -> None:
    features = np.arange(24, dtype=np.float32).reshape(12, 2)
    written = write_histories(matrix(), tmp_path, features=features, max_history=99)
    assert lists(written.training) == [row.indices.tolist() for row in matrix()]
    assert (written.items, written.users, written.validation) == (12, 50, None)
    assert written.features is not None
    np.testing.assert_array_equal(features_of(Shards.open(written.features), 12), features)


def test_long_histories_are_bounded_and_validation_users_are_others(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"max_history": 3, "validation_share": 0.3}
    one, other, seeded = (
        write_histories(matrix(), tmp_path / str(number), **chosen, seed=seed) for number, seed in enumerate((0, 0, 1))
    )
    for side in ("training", "validation"):
        assert lists(getattr(one, side)) == lists(getattr(other, side)) != lists(getattr(seeded, side))
    training, validation = lists(one.training), lists(one.validation)
    assert len(training) + len(validation) == 50
    assert 5 < len(validation) < 25
    whole = [set(row.indices.tolist()) for row in matrix()]
    for row in training + validation:
        assert len(row) == len(set(row)) == min(3, len(row))
        assert any(set(row) <= items for items in whole)
    assert len({tuple(row) for row in training}) > 20


def test_with_places_items_stand_in_their_order_and_the_latest_are_kept(tmp_path: Path) -> None:
    rows, items = matrix().nonzero()
    places = csr_matrix((np.random.default_rng(1).permutation(len(rows)) + 1.0, (rows, items)), shape=(50, 12))
    whole = write_histories(matrix(), tmp_path / "whole", max_history=99, places=places)
    short = write_histories(matrix(), tmp_path / "short", max_history=3, places=places)
    for user, (all_of, latest) in enumerate(zip(lists(whole.training), lists(short.training), strict=True)):
        at = [places[user, item] for item in all_of]
        assert at == sorted(at)
        assert set(all_of) == set(matrix()[user].indices.tolist())
        assert latest == all_of[-3:]


@pytest.fixture(scope="module")
def staged(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> StagedInteractions:
    found = matrix().tocoo()
    rows = [(f"u{user}", int(item), 1.0) for user, item in zip(found.row, found.col, strict=True)]
    features = spark.createDataFrame(
        [(item, [float(item % 2), 1.0]) for item in range(13)], "item long, features array<float>"
    )
    table = spark.createDataFrame(rows, "user string, item long, rating double")
    return stage_interactions(table, str(tmp_path_factory.mktemp("staged") / "all"), features=features)


def test_spark_writes_what_was_staged_in_the_order_of_the_users(
    spark: SparkSession, staged: StagedInteractions, tmp_path: Path
) -> None:
    found = stage_histories(spark, staged, str(tmp_path / "whole"))
    assert lists(found.training) == [row.indices.tolist() for row in read_matrix(staged)]
    bounded = stage_histories(spark, staged, str(tmp_path / "bounded"), max_history=2, validation_share=0.3)
    assert len(lists(bounded.training)) + len(lists(bounded.validation)) == staged.shape[0]
    assert 3 < len(lists(bounded.validation)) < 27
    assert max(len(row) for row in lists(bounded.training)) == 2
    assert bounded.items == 13
    settings = TowersSettings(embedding_dim=4, epochs=2, batch_size=16)
    towers = train_towers(spark, bounded, str(tmp_path / "run"), settings)
    features = read_features(staged)
    assert features is not None
    unrated = np.flatnonzero(np.diff(read_matrix(staged).tocsc().indptr) == 0)
    assert len(unrated) == 1
    np.testing.assert_allclose(towers.item_vectors[unrated], towers.vectors_of(features[unrated]), atol=1e-6)
