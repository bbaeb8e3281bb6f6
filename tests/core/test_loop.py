"""The training loop without Spark: killed and resumed to the same weights, in the same order, every record once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from brightspark.core import snapshot
from brightspark.core.errors import BudgetError, InputError, SettingError, SetupError, StorageError
from brightspark.core.journal import read_journal
from brightspark.core.loop import run
from brightspark.core.order import Order
from brightspark.core.run import Run
from brightspark.core.state import State
from brightspark.core.training_settings import TrainingSettings
from tests.core.toy_training import write_rows

ROWS, BATCH = 240, 24
BUILDER = "tests.core.toy_training:build"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("staged")
    return write_rows(folder / "training", ROWS), write_rows(folder / "validation", 50)


def planned(
    folder: Path,
    staged: tuple[str, str],
    facts: Mapping[str, Any] | None = None,
    write: bool = True,
    **settings: Any,
) -> Run:
    chosen: dict[str, Any] = {
        "epochs": 3, "batch_size": BATCH, "loader_workers": 0, "snapshot_steps": 4, "learning_rate": 0.01, **settings
    }  # fmt: skip
    todo = Run(
        folder=folder,
        builder=BUILDER,
        facts=facts or {},
        training=staged[0],
        validation=staged[1],
        settings=TrainingSettings(**chosen),
    )
    return todo.write() if write else todo


@dataclass
class Processes:
    """The ranks of a training as processes of this one."""

    ranks: list[subprocess.Popen[bytes]]

    def wait(self) -> list[int]:
        return [rank.wait(120) for rank in self.ranks]


def launched(folder: Path, ranks: int, *, environment: Mapping[str, str] | None = None) -> Processes:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks),
              "OMP_NUM_THREADS": "1", **(environment or {})}  # fmt: skip
    return Processes(
        [
            subprocess.Popen(
                [sys.executable, "-m", "brightspark.core.loop", str(folder)],
                env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.DEVNULL,
                stderr=(folder / f"stderr-{rank}").open("wb"),
            )
            for rank in range(ranks)
        ]
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def assert_same_bits(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def set_back(folder: Path, step: int) -> None:
    """Leaves of a training that has ended what was there at its first snapshot from that step on."""
    later = [one for one in sorted((folder / "snapshots").glob("step-*")) if int(one.name[5:]) >= step][1:]
    assert later
    for one in later:
        shutil.rmtree(one)
    for name in ("weights.safetensors", "result.json"):
        (folder / name).unlink()


def steps(folder: Path) -> int:
    return max(
        (line["step"] for line in read_journal(folder / "metrics.jsonl") if line["kind"] == "snapshot"), default=0
    )


@pytest.fixture(scope="module")
def undisturbed(staged: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks make of it, with shuffling, noise, dropout, batch norm, an average and two loader processes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    planned(folder, staged, loader_workers=2, ema_decay=0.9)
    assert launched(folder, 2).wait() == [0, 0]
    return folder


def test_a_half_written_snapshot_is_passed_over(
    staged: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    planned(tmp_path, staged)
    run(tmp_path)
    whole = weights(tmp_path)
    found = snapshot.newest(tmp_path / "snapshots")
    assert found is not None
    older = sorted((tmp_path / "snapshots").glob("step-*"))[-2]
    state = (found / "state.safetensors").read_bytes()
    (found / "state.safetensors").write_bytes(state[: len(state) // 2])
    (tmp_path / "snapshots" / ".step-0000000099-dead").mkdir()
    assert snapshot.newest(tmp_path / "snapshots") == older
    assert "is passed over" in caplog.text
    for name in ("weights.safetensors", "result.json"):
        (tmp_path / name).unlink()
    run(tmp_path)
    assert_same_bits(weights(tmp_path), whole)


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


def test_records_that_cannot_be_read_are_skipped_and_named(staged: tuple[str, str], tmp_path: Path) -> None:
    broken = (write_rows(tmp_path / "rows", ROWS, broken=[5, 77]), staged[1])
    planned(tmp_path, broken, epochs=1)
    run(tmp_path)
    skipped = [json.loads(line) for line in (tmp_path / "skipped-0.jsonl").read_text().splitlines()]
    assert {(one["row"], one["reason"]) for one in skipped} == {
        (5, "ValueError: the record is broken"),
        (77, "ValueError: the record is broken"),
    }
    (epoch,) = [line for line in read_journal(tmp_path / "metrics.jsonl") if line["kind"] == "epoch"]
    assert epoch["skipped"] == 2


def test_too_many_of_them_stop_the_training(staged: tuple[str, str], tmp_path: Path) -> None:
    broken = (write_rows(tmp_path / "rows", ROWS, broken=range(0, ROWS, 10)), staged[1])
    planned(tmp_path, broken, epochs=1)
    with pytest.raises(BudgetError, match=r"max_error_rate=0.01 allows; the first ones stand in .*skipped"):
        run(tmp_path)
    (error,) = Run.open(tmp_path).errors()
    assert error["final"]
    assert "BudgetError" in error["traceback"]


@pytest.mark.parametrize("loader_workers", [0, 2])
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


def test_a_loader_process_that_is_killed_is_an_error(staged: tuple[str, str], tmp_path: Path) -> None:
    planned(tmp_path, staged, {"die_at": 100}, loader_workers=1, epochs=1)
    with pytest.raises(SetupError, match=r"a process that loads records died .* loader_workers"):
        run(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("imported", ["os", "pyspark"])
def test_loader_processes_end_with_the_rank_that_is_killed(
    imported: str, staged: tuple[str, str], tmp_path: Path
) -> None:
    """Also where a fork server started them, which would keep them for ever."""
    planned(tmp_path, staged, {"seconds": 0.05}, loader_workers=2)
    program = (
        f"import sys{', ' + imported if imported else ''}; from brightspark.core.loop import run; run(sys.argv[1])"
    )
    rank = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    wait_for(lambda: steps(tmp_path) >= 4)
    below = descendants(rank.pid)
    assert len(below) >= 2
    rank.kill()
    rank.wait()
    wait_for(lambda: not any(Path(f"/proc/{process}/cmdline").exists() for process in below), 20)


def descendants(process: int) -> list[int]:
    """The processes below one, by their parents' numbers."""
    children = []
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            with contextlib.suppress(OSError):
                if int((one / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                    children.append(int(one.name))
    return [*children, *(below for child in children for below in descendants(child))]


def test_snapshots_that_vanish_end_the_training(staged: tuple[str, str], tmp_path: Path) -> None:
    planned(tmp_path, staged, {"seconds": 0.005}, snapshot_steps=2)

    def vanish() -> None:
        wait_for(lambda: steps(tmp_path) >= 4)
        shutil.rmtree(tmp_path / "snapshots")

    thread = threading.Thread(target=vanish)
    thread.start()
    with pytest.raises(StorageError, match="snapshots has vanished, with all snapshots"):
        run(tmp_path)
    thread.join()
    assert not (tmp_path / "snapshots").exists()
    assert not (tmp_path / "result.json").exists()


@pytest.mark.slow
def test_a_full_disk_leaves_the_snapshots_that_were_there(staged: tuple[str, str], tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk's end: the same write fails."""
    planned(tmp_path, staged, epochs=1)
    run(tmp_path)
    kept = snapshot.newest(tmp_path / "snapshots")
    (tmp_path / "result.json").unlink()
    planned(tmp_path, staged, epochs=3)
    limited = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);" \
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));" \
        "from brightspark.core.loop import run; run(sys.argv[1])"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", limited, str(tmp_path)], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "StorageError" in last
    assert f"training can go on from {kept}" in last
    assert snapshot.newest(tmp_path / "snapshots") == kept


def test_a_snapshot_of_another_network_is_refused(staged: tuple[str, str], tmp_path: Path) -> None:
    planned(tmp_path, staged, epochs=1)
    run(tmp_path)
    (tmp_path / "result.json").unlink()
    planned(tmp_path, staged, {"plain": True}, epochs=2)
    with pytest.raises(InputError, match="another training"):
        run(tmp_path)


def test_a_monitor_that_is_no_metric_is_named(staged: tuple[str, str], tmp_path: Path) -> None:
    planned(tmp_path, staged, epochs=1, monitor="acuracy")
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        run(tmp_path)


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


def test_a_batch_of_broken_records_is_stood_in_for(staged: tuple[str, str], tmp_path: Path) -> None:
    """Without a word in the weights: their share of the step is 0."""
    first = [int(row) for row in Order(rows=ROWS).permutation(0)[:BATCH]]
    broken = (write_rows(tmp_path / "rows", ROWS, broken=first), staged[1])
    planned(tmp_path, broken, epochs=1, max_error_rate=0.1, snapshot_steps=1, keep_snapshots=99, weight_decay=0.0)
    run(tmp_path)
    one, two = (snapshot.load(tmp_path / "snapshots" / f"step-{step:010d}") for step in (1, 2))
    assert one["skipped"] == BATCH
    assert not any(state["exp_avg"].any() for state in one["optimizer"]["state"].values())
    assert any(state["exp_avg"].any() for state in two["optimizer"]["state"].values())


def test_nothing_that_can_be_read_is_an_error(staged: tuple[str, str], tmp_path: Path) -> None:
    broken = (write_rows(tmp_path / "rows", 30, broken=range(30)), staged[1])
    planned(tmp_path, broken, epochs=1, max_error_rate=1.0)
    with pytest.raises(InputError, match=r"nor any that could stand in for them; row .*the record is broken"):
        run(tmp_path)


def test_a_record_that_fills_up_a_batch_counts_once(staged: tuple[str, str], tmp_path: Path) -> None:
    """The padding of a short epoch shows it again; the budget is one of a hundred."""
    broken = (write_rows(tmp_path / "rows", 100, broken=[int(Order(rows=100).permutation(0)[0])]), staged[1])
    planned(tmp_path, broken, epochs=1, batch_size=64, max_error_rate=0.01)
    assert run(tmp_path)["steps"] == 2
    assert len((tmp_path / "skipped-0.jsonl").read_text().splitlines()) == 1


def test_validation_rows_that_cannot_be_read_are_no_metric(staged: tuple[str, str], tmp_path: Path) -> None:
    broken = (staged[0], write_rows(tmp_path / "rows", 50, broken=range(10)))
    planned(tmp_path, broken, epochs=1)
    with pytest.raises(BudgetError, match="10 of the 50 validation rows cannot be read"):
        run(tmp_path)


def test_a_task_that_fails_in_a_loader_process_fails_with_its_own_words(
    staged: tuple[str, str], tmp_path: Path
) -> None:
    planned(tmp_path, staged, {"uneven": True}, loader_workers=1, epochs=1)
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        run(tmp_path)


def test_a_not_a_number_is_never_the_best(staged: tuple[str, str]) -> None:
    task = planned(Path("unused"), staged, write=False).task()
    state = State.fresh(task, TrainingSettings(), 10, torch.device("cpu"))
    assert not state.judge({"loss": float("nan")}, "loss", 0)
    assert state.judge({"loss": 3.0}, "loss", 1)
    assert not state.judge({"loss": float("nan")}, "loss", 2)
    assert (state.best, state.best_epoch) == (3.0, 1)


def test_patience_needs_validation_rows(staged: tuple[str, str], tmp_path: Path) -> None:
    replace(planned(tmp_path, staged, patience=2), validation=None).write()
    with pytest.raises(SettingError, match="patience=2 needs validation rows"):
        run(tmp_path)


def test_rows_that_were_staged_anew_are_refused(staged: tuple[str, str], tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows", 30)
    planned(tmp_path / "run", (path, staged[1]))
    shutil.rmtree(path)
    write_rows(tmp_path / "rows", 31)
    with pytest.raises(InputError, match="holds other rows than when the training"):
        run(tmp_path / "run")


def test_another_launch_ends_this_one(staged: tuple[str, str], tmp_path: Path) -> None:
    todo = planned(tmp_path, staged, {"seconds": 0.005})

    def launch_again() -> None:
        wait_for(lambda: steps(tmp_path) >= 4)
        replace(todo, launch="another").write()

    thread = threading.Thread(target=launch_again)
    thread.start()
    with pytest.raises(SetupError, match="another launch of the training"):
        run(tmp_path)
    thread.join()
    assert not Run.open(tmp_path).errors(), "the error counts for the other launch"


def test_half_a_line_of_the_journal_harms_nobody(staged: tuple[str, str], tmp_path: Path) -> None:
    planned(tmp_path, staged, epochs=1)
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step", "lo')
    run(tmp_path)
    assert next(read_journal(tmp_path / "metrics.jsonl"))["kind"] == "started"


def test_a_damaged_snapshot_takes_no_whole_ones_place(staged: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    snapshot.prepare(folder)
    for step in (10, 30):
        snapshot.save(folder, step, {"step": step}, keep=2)
    (folder / "step-0000000030" / "state.json").write_text("{")
    snapshot.save(folder, 20, {"step": 20}, keep=2)
    assert sorted(one.name for one in folder.iterdir()) == ["step-0000000010", "step-0000000020"]


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
