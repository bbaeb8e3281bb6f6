"""What goes wrong in a training without Spark: what is said, what is kept, and what goes on all the same."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brightspark.core import snapshot
from brightspark.core.errors import BudgetError, InputError, SettingError, SetupError, StorageError
from brightspark.core.journal import read_journal
from brightspark.core.launch import _take_errors
from brightspark.core.loop import run
from brightspark.core.order import Order
from brightspark.core.run import Run
from brightspark.core.state import State
from brightspark.core.training_settings import TrainingSettings
from tests.core.toy_training import write_rows
from tests.core.trainings import BATCH, ROWS, assert_same_bits, planned, steps, wait_for, weights


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("staged")
    return write_rows(folder / "training", ROWS), write_rows(folder / "validation", 50)


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


@pytest.mark.slow
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


def test_a_launch_after_a_death_must_find_the_same_rows(staged: tuple[str, str], tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows", 30)
    planned(tmp_path / "run", (path, staged[1]))
    shutil.rmtree(path)
    write_rows(tmp_path / "rows", 31)
    assert _take_errors(tmp_path / "run") == []
    assert Run.open(tmp_path / "run").launch
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
