"""Rows that no disk holds: windows of row groups, every row once, and never more than three windows on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from brightspark.core.loop import run
from brightspark.core.manifest import Manifest, Shard, write_manifest
from brightspark.core.order import Order, Position
from brightspark.core.shards import Shards
from brightspark.core.windows import Windows
from tests.core.toy_training import write_rows
from tests.core.trainings import assert_same_bits, planned, set_back, weights

GROUPS = (7, 10, 3, 9, 12, 1, 8, 10, 6, 11, 2, 9, 5, 7, 10, 4)
ROWS = sum(GROUPS)
WINDOW = 15
CONTENT = b"x" * 10_000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Two shards, eight row groups each."""
    described, first = [], 0
    for name, groups in (("a.parquet", GROUPS[:8]), ("b.parquet", GROUPS[8:])):
        with pq.ParquetWriter(tmp_path / name, pa.schema([("id", pa.int64()), ("content", pa.binary())])) as writer:
            for rows in groups:
                ids = list(range(first, first + rows))
                writer.write_table(pa.table({"id": ids, "content": [CONTENT] * rows}, schema=writer.schema))
                first += rows
        described.append(Shard(name=name, rows=sum(groups), bytes=1, raw_bytes=1, row_groups=groups))
    columns = {"id": "bigint", "content": "binary"}
    manifest = Manifest(path=str(tmp_path), rows=ROWS, row_hash="0", columns=columns, shards=tuple(described))
    write_manifest(manifest)
    return Shards.open(str(tmp_path))


def order(**changes: int) -> Order:
    return Order(rows=ROWS, seed=3, groups=GROUPS, window_rows=WINDOW, **changes)


def test_an_epoch_is_a_permutation_of_all_rows_and_another_one_each_time() -> None:
    first, second = (list(map(int, order().permutation(epoch))) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert first != second
    assert first == list(map(int, order().permutation(0)))


def test_rows_come_window_by_window_and_mixed_within() -> None:
    starts = [sum(GROUPS[:group]) for group in range(len(GROUPS))]
    permutation = list(map(int, order().permutation(0)))
    for window in order().windows(0):
        rows = [row for group in window for row in range(starts[group], starts[group] + GROUPS[group])]
        taken, permutation = permutation[: len(rows)], permutation[len(rows) :]
        assert sorted(taken) == sorted(rows)
        assert len(rows) < 4 or taken != sorted(taken)
        assert len(rows) >= WINDOW or not permutation, "a window that is not the last is too small"


def test_every_row_is_read_by_its_number(shards: Shards) -> None:
    windows = Windows(shards, order(), ["id", "content"])
    for epoch in (0, 1):
        permutation = order().permutation(epoch)
        for start in range(0, ROWS, 4):  # batches lie across the ends of windows
            some = permutation[start : start + 4]
            assert windows.table(epoch, some).to_pylist() == [{"id": int(row), "content": CONTENT} for row in some]


def test_no_more_than_three_windows_are_on_the_disk(shards: Shards, own_cache: Path) -> None:
    windows = Windows(shards, order(), ["id", "content"])
    most = 0
    for epoch in range(3):
        for row in order().permutation(epoch):
            windows.table(epoch, np.array([row]))
            most = max(most, len(list((own_cache / "shards").rglob("*.arrow"))))
    assert len(order().windows(0)) > 3
    assert 2 <= most <= 3


def test_a_window_that_was_half_fetched_is_fetched_again(shards: Shards, own_cache: Path) -> None:
    first = Windows(shards, order(), ["id"], "one")
    first.folder.mkdir(parents=True)
    (first.folder / ".000000-000000.arrow-dead.partial").write_bytes(b"half")
    permutation = order().permutation(0)
    for row in permutation:
        assert first.table(0, np.array([row]))["id"].to_pylist() == [row]
    assert not list(first.folder.glob(".000000-000000*")), "it is left on the disk"


def test_an_epoch_is_filled_up_from_its_last_window() -> None:
    """From the first one it would have to be fetched again."""
    last = order().windows(0)[-1]
    starts = [sum(GROUPS[:group]) for group in range(len(GROUPS))]
    rows = {row for group in last for row in range(starts[group], starts[group] + GROUPS[group])}
    *_, (taken, after) = order().batches(Position(), batch_size=50)
    assert after == Position(epoch=1)
    assert ROWS % 50
    assert set(taken[ROWS % 50 :].tolist()) <= rows


def test_trainings_with_other_windows_share_no_files(shards: Shards) -> None:
    others = [
        Windows(shards, order(), ["id"], "one"),
        Windows(shards, order(), ["id"], "two"),
        Windows(shards, order(), ["id", "content"], "one"),
        Windows(shards, replace(order(), window_rows=30), ["id"], "one"),
    ]
    assert len({windows.folder for windows in others}) == 4
    for windows in others:
        row = windows.order.permutation(0)[:1]
        assert windows.table(0, row)["id"].to_pylist() == row.tolist()


def test_a_resumed_training_reads_its_window_only(shards: Shards, own_cache: Path) -> None:
    whole = [int(row) for taken, _ in order().batches(Position(), batch_size=5) for row in taken]
    position = Position(consumed=35)
    resumed = [list(map(int, taken)) for taken, _ in order().batches(position, batch_size=5)]
    assert [row for taken in resumed for row in taken] == whole[35:]
    windows = Windows(shards, order(), ["id"])
    assert [record["id"] for record in windows.table(0, np.array(resumed[0])).to_pylist()] == resumed[0]
    assert not list((own_cache / "shards").rglob("*-000000.arrow")), "the first window was fetched again"


def test_training_in_windows_is_exact_too(tmp_path: Path) -> None:
    """The same weights with loader processes and without, and after a stop in the middle."""
    staged = (write_rows(tmp_path / "training", 240, shards=8), write_rows(tmp_path / "validation", 50))
    for name, workers in (("alone", 0), ("processes", 2)):
        planned(tmp_path / name, staged, epochs=2, window_rows=60, loader_workers=workers)
        run(tmp_path / name)
    assert_same_bits(weights(tmp_path / "alone"), weights(tmp_path / "processes"))
    planned(tmp_path / "stopped", staged, epochs=2, window_rows=60, keep_snapshots=100)
    run(tmp_path / "stopped")
    set_back(tmp_path / "stopped", 4)
    run(tmp_path / "stopped")
    assert_same_bits(weights(tmp_path / "alone"), weights(tmp_path / "stopped"))
    assert not list((tmp_path / "cache" / "shards").glob("*-windows-*")), "windows are left on the disk"
    everything = tmp_path / "everything"
    planned(everything, staged, epochs=2, loader_workers=0)
    run(everything)
    assert any((tensor != weights(everything)[name]).any() for name, tensor in weights(tmp_path / "alone").items()), (
        "the rows came in the same order as without windows"
    )
