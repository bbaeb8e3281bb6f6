"""The training loop without Spark: killed and resumed to the same weights, in the same order, every record once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brightspark.core import snapshot
from brightspark.core.journal import read_journal
from brightspark.core.loop import run
from brightspark.core.order import Order
from tests.core.toy_training import write_rows
from tests.core.trainings import BATCH, ROWS, assert_same_bits, launched, planned, set_back, steps, wait_for, weights


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("staged")
    return write_rows(folder / "training", ROWS), write_rows(folder / "validation", 50)


@pytest.fixture(scope="module")
def undisturbed(staged: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks make of it, with shuffling, noise, dropout, batch norm, an average and two loader processes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    planned(folder, staged, loader_workers=2, ema_decay=0.9)
    assert launched(folder, 2).wait() == [0, 0]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("afterwards", [pytest.param(1, marks=pytest.mark.kill), 3])
def test_another_number_of_ranks_goes_on_in_the_same_order(
    afterwards: int, staged: tuple[str, str], tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    facts = {"log": str(seen), "seconds": 0.002}
    planned(tmp_path, staged, facts, epochs=2)
    processes = launched(tmp_path, 2)
    wait_for(lambda: steps(tmp_path) >= 4)
    processes.ranks[1].send_signal(signal.SIGKILL)
    processes.wait()
    stopped = snapshot.load(snapshot.newest(tmp_path / "snapshots") or tmp_path)["position"]
    for file in seen.iterdir():
        file.unlink()
    assert launched(tmp_path, afterwards).wait() == [0] * afterwards
    order = Order(rows=ROWS, seed=0)
    wanted = [(stopped["epoch"], int(row)) for row in order.permutation(stopped["epoch"])[stopped["consumed"] :]]
    wanted += [(epoch, int(row)) for epoch in range(stopped["epoch"] + 1, 2) for row in order.permutation(epoch)]
    assert interleaved(seen, afterwards) == [row for _, row in wanted]
    losses = [line["loss"] for line in read_journal(tmp_path / "metrics.jsonl") if line["kind"] == "epoch"]
    assert losses[-1] < losses[0]


def interleaved(seen: Path, ranks: int) -> list[int]:
    """The ids that all ranks saw, in the order in which they took turns."""
    taken = [list(map(int, (seen / str(rank)).read_text().split())) for rank in range(ranks)]
    return [row for turn in zip(*taken, strict=True) for row in turn]


def test_every_record_comes_once_an_epoch(staged: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    planned(tmp_path, staged, {"log": str(tmp_path / "seen")}, epochs=2)
    run(tmp_path)
    ids = list(map(int, (tmp_path / "seen" / "0").read_text().split()))
    first, second = ids[:ROWS], ids[ROWS:]
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert first != second


def test_records_of_like_lengths_share_a_batch(staged: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    planned(tmp_path, staged, {"log": str(tmp_path / "seen"), "length": "id"}, epochs=1)
    run(tmp_path)
    ids = np.array(list(map(int, (tmp_path / "seen" / "0").read_text().split())))
    assert sorted(ids) == list(range(ROWS))
    assert np.ptp(ids.reshape(-1, BATCH), axis=1).mean() < 50, "a batch is as mixed as all rows"


@pytest.mark.slow
def test_two_ranks_with_half_the_batch_take_the_step_of_one(staged: tuple[str, str], tmp_path: Path) -> None:
    """On a record-wise network; batch norm sees each rank's own half."""
    plain = {"plain": True, "noise": 0.0}
    chosen = {"epochs": 1, "optimizer": "sgd", "momentum": 0.0, "clip_norm": None, "precision": "float32"}
    for ranks, accumulate in ((1, 1), (2, 1), (1, 3)):
        folder = tmp_path / f"{ranks}-{accumulate}"
        planned(folder, staged, plain, accumulate=accumulate, **chosen)
        assert launched(folder, ranks).wait() == [0] * ranks
    one = weights(tmp_path / "1-1")
    for other in ("2-1", "1-3"):
        for name, tensor in weights(tmp_path / other).items():
            torch.testing.assert_close(tensor, one[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize("loader_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_batches_made_at_once_are_those_made_one_by_one(
    loader_workers: int, staged: tuple[str, str], tmp_path: Path
) -> None:
    broken = (write_rows(tmp_path / "rows", ROWS, broken=[5, 77]), staged[1])
    for name, facts in (("one by one", {"noise": 0.0}), ("at once", {"at_once": True})):
        planned(tmp_path / name, broken, facts, epochs=2, loader_workers=loader_workers)
        run(tmp_path / name)
    assert_same_bits(weights(tmp_path / "one by one"), weights(tmp_path / "at once"))
    skipped = [
        [(one["epoch"], one["row"]) for one in map(json.loads, (tmp_path / name / "skipped-0.jsonl").open())]
        for name in ("one by one", "at once")
    ]
    assert skipped[0] == skipped[1]
    assert sorted(skipped[0]) == [(0, 5), (0, 77), (1, 5), (1, 77)]


def test_tensorboard_draws_the_journal(staged: tuple[str, str], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    planned(tmp_path, staged, tensorboard=True)
    run(tmp_path)
    drawn = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    wanted = [line for line in read_journal(tmp_path / "metrics.jsonl") if line["kind"] == "epoch"]
    found = {name: drawn.Scalars(f"epoch/{name}") for name in ("loss", "accuracy")}
    assert [event.step for event in found["loss"]] == [10, 20, 30]
    for name, events in found.items():
        assert [event.value for event in events] == pytest.approx([line[name] for line in wanted])
    assert drawn.Scalars("step/rate")
    set_back(tmp_path, 13)
    run(tmp_path)
    again = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in again.Scalars("epoch/loss")] == [10, 20, 30]


def test_training_stops_early_and_keeps_the_best_weights(staged: tuple[str, str], tmp_path: Path) -> None:
    planned(tmp_path, staged, epochs=40, patience=2, learning_rate=0.05, monitor="accuracy", keep_snapshots=999)
    result = run(tmp_path)
    epochs = [line for line in read_journal(tmp_path / "metrics.jsonl") if line["kind"] == "epoch"]
    best = max(epochs, key=lambda line: line["accuracy"])
    assert result["epochs"] == len(epochs) == best["epoch"] + 3 < 40
    assert (result["best"], result["best_epoch"]) == (best["accuracy"], best["epoch"])
    best_step = (result["best_epoch"] + 1) * 10
    kept = snapshot.load(tmp_path / "snapshots" / f"step-{best_step:010d}")
    assert_same_bits(weights(tmp_path), kept["module"])
    assert not list(tmp_path.glob("best-*"))


def test_a_finished_training_is_not_trained_again(staged: tuple[str, str], tmp_path: Path) -> None:
    planned(tmp_path, staged, epochs=1)
    first = run(tmp_path)
    before = weights(tmp_path)
    assert run(tmp_path) == first
    assert_same_bits(weights(tmp_path), before)


@pytest.mark.slow
def test_torchrun_trains_where_pyspark_cannot_be_imported(
    undisturbed: Path, staged: tuple[str, str], tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked" / "pyspark"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('there is no pyspark here')")
    planned(tmp_path, staged, loader_workers=2, ema_decay=0.9)
    path = os.pathsep.join([str(blocked.parent), os.environ["PYTHONPATH"]])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    done = subprocess.run(
        [*torchrun, "--standalone", "-m", "brightspark.core.loop", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_same_bits(weights(tmp_path), weights(undisturbed))


@pytest.mark.parametrize("facts", [{}, {"tied": True}], ids=["plain", "tied weights"])
def test_a_training_that_goes_on_is_exact_in_half_precision_and_parts(
    facts: Mapping[str, Any], staged: tuple[str, str], tmp_path: Path
) -> None:
    """Of float16's scaler too, and between two steps of an epoch."""
    planned(tmp_path, staged, facts, precision="float16", accumulate=3, ema_decay=0.9, keep_snapshots=99)
    ended = run(tmp_path)
    whole = weights(tmp_path)
    set_back(tmp_path, 13)
    assert run(tmp_path) == ended
    assert_same_bits(weights(tmp_path), whole)
    losses = [line["loss"] for line in read_journal(tmp_path / "metrics.jsonl") if line["kind"] == "epoch"]
    assert losses[1] == losses[-2]
    assert losses[2] == losses[-1] < losses[0]


@pytest.mark.slow
def test_fewer_validation_rows_than_ranks(tmp_path: Path) -> None:
    few = (write_rows(tmp_path / "training", 30), write_rows(tmp_path / "validation", 1, shards=1))
    planned(tmp_path / "run", few, epochs=1)
    assert launched(tmp_path / "run", 2).wait() == [0, 0]
    (epoch,) = [line for line in read_journal(tmp_path / "run" / "metrics.jsonl") if line["kind"] == "epoch"]
    assert epoch["accuracy"] in (0, 1)


@pytest.mark.slow
def test_a_script_without_a_guard_trains(staged: tuple[str, str], tmp_path: Path) -> None:
    """Its loader processes are started afresh, since it has a Spark client, and must not run it again."""
    planned(tmp_path / "run", staged, loader_workers=2, epochs=1)
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, pyspark\n"
        "print('the script runs')\n"
        "from brightspark.core.loop import run\n"
        "run(sys.argv[1])\n"
        "assert __file__.endswith('script.py')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the script runs\n"
