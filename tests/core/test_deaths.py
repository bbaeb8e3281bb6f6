"""Whoever is killed at whatever step, the weights are in the end those of the undisturbed training, bit for bit.

Two ranks with shuffling, noise, dropout, batch norm, an average and two loader processes each; through Spark with a
driver and two executors of their own. `make test-kill` runs the whole matrix, `make test` one case of each kind.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from brightspark.core.journal import read_journal
from brightspark.core.run import METRICS, Run
from tests.core.test_launch import planned
from tests.core.toy_training import write_rows
from tests.core.trainings import launched

SCRIPT = Path(__file__).with_name("training_script.py")
SECONDS = 300
_log = logging.getLogger(__name__)

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]
matrix = pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.kill) for turn in (1, 2))])


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("staged")
    return write_rows(folder / "training", 240), write_rows(folder / "validation", 50)


@pytest.fixture(scope="module")
def undisturbed(staged: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training by two processes of the plain loop."""
    folder = tmp_path_factory.mktemp("undisturbed")
    planned(folder, staged).write()
    assert launched(folder, 2).wait() == [0, 0]
    return folder


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a driver over the run in `tmp_path`; all that is left of it ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        log = (tmp_path / f"driver-{len(started)}.log").open("wb")
        environment = {**os.environ, "BRIGHTSPARK_CACHE": str(tmp_path / "cache")}
        started.append(
            subprocess.Popen(
                [sys.executable, str(SCRIPT), str(tmp_path)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def some_step() -> int:
    return 2 + secrets.randbelow(22)


def begun(
    folder: Path, staged: tuple[str, str], driver: Callable[[], subprocess.Popen[bytes]]
) -> tuple[subprocess.Popen[bytes], int]:
    """A training through Spark that has come to some step."""
    planned(folder, staged, {"seconds": 0.02}).write()
    process, step = driver(), some_step()
    wait_for_snapshot(folder, step)
    return process, step


def wait_for_snapshot(folder: Path, step: int) -> None:
    deadline = time.monotonic() + SECONDS
    while not any(line["kind"] == "snapshot" and line["step"] >= step for line in read_journal(folder / METRICS)):
        assert time.monotonic() < deadline, f"step {step} did not come"
        time.sleep(0.01)


def starts(folder: Path) -> list[int]:
    """The steps at which the ranks began, launch by launch."""
    return [line["step"] for line in read_journal(folder / METRICS) if line["kind"] == "started"]


def in_session(leader: int) -> Iterator[Path]:
    """The processes that a leader's session holds, as folders of /proc."""
    for one in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            if int((one / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                yield one


def kill_rank(rank: int, folder: Path) -> None:
    """Kills the process that trains in `folder` as that rank, not those that load its records."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            words = (process / "environ").read_bytes().split(b"\0")
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            started = b"torch.distributed.run" in command(Path("/proc") / parent)
            if started and f"RANK={rank}".encode() in words and f"BRIGHTSPARK_CACHE={folder}/cache".encode() in words:
                os.kill(int(process.name), signal.SIGKILL)
                return
    raise AssertionError(f"there is no rank {rank}")


def kill_driver(process: subprocess.Popen[bytes]) -> None:
    """Kills the driver's Python and its JVM; executors and ranks live on, until they find out."""
    submit = [one for one in in_session(process.pid) if b"org.apache.spark.deploy.SparkSubmit" in command(one)]
    assert len(submit) == 1
    process.kill()
    os.kill(int(submit[0].name), signal.SIGKILL)
    process.wait()


def command(process: Path) -> bytes:
    with contextlib.suppress(OSError):
        return (process / "cmdline").read_bytes()
    return b""


def executors(process: subprocess.Popen[bytes]) -> list[int]:
    """The executors' JVMs, in the session of the driver's process."""
    return sorted(int(one.name) for one in in_session(process.pid) if b"CoarseGrainedExecutorBackend" in command(one))


def assert_same_weights(folder: Path, undisturbed: Path) -> None:
    wanted, found = (load_file(one / "weights.safetensors") for one in (undisturbed, folder))
    found.pop("ballast", None)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert Run.open(folder).result() == Run.open(undisturbed).result()
    assert epochs(folder) == epochs(undisturbed)


def epochs(folder: Path) -> dict[int, dict[str, Any]]:
    """What was measured after each epoch; of one that came twice, the later."""
    lines = [line for line in read_journal(folder / METRICS) if line["kind"] == "epoch"]
    return {line["epoch"]: {name: line[name] for name in line if name != "time"} for line in lines}


@matrix
def test_a_rank_is_killed(
    turn: int, staged: tuple[str, str], undisturbed: Path, tmp_path: Path,
    driver: Callable[[], subprocess.Popen[bytes]],
) -> None:  # fmt: skip
    process, step = begun(tmp_path, staged, driver)
    _log.warning("rank %d is killed after the snapshot that follows step %d", turn % 2, step)
    kill_rank(turn % 2, tmp_path)
    log = tmp_path / "driver-0.log"
    assert process.wait(SECONDS) == 0, log.read_text()[-2000:]
    assert f"launching again (1 of 3): rank {turn % 2} died without a word" in log.read_text()
    assert len(starts(tmp_path)) == 2
    assert_same_weights(tmp_path, undisturbed)


@matrix
def test_a_rank_is_killed_while_it_writes_a_snapshot(
    turn: int, staged: tuple[str, str], undisturbed: Path, tmp_path: Path
) -> None:
    planned(tmp_path, staged, {"ballast": 200 << 20}).write()
    processes = launched(tmp_path, 2)
    step = some_step()
    wait_for_snapshot(tmp_path, step)
    deadline = time.monotonic() + SECONDS
    while not (half := list((tmp_path / "snapshots").glob(".step-*"))):
        assert time.monotonic() < deadline, "no other snapshot was begun"
    processes.ranks[0].kill()
    assert all(processes.wait()), "the other rank went on alone"
    _log.warning("rank 0 was killed while it wrote %s", half[0].name)
    assert list((tmp_path / "snapshots").glob(".step-*")), "the snapshot was whole before the kill"
    assert launched(tmp_path, 2).wait() == [0, 0]
    assert step <= starts(tmp_path)[1] < int(half[0].name.split("-")[1])
    assert not list((tmp_path / "snapshots").glob(".step-*"))
    assert_same_weights(tmp_path, undisturbed)


@pytest.mark.kill
def test_one_of_three_ranks_is_killed(staged: tuple[str, str], tmp_path: Path) -> None:
    """The sum of three depends on its order, of two it does not."""
    folders = [tmp_path / "undisturbed", tmp_path / "killed"]
    for folder in folders:
        planned(folder, staged, {"seconds": 0.002}, ranks=3, loader_workers=1).write()
    assert launched(folders[0], 3).wait() == [0, 0, 0]
    processes = launched(folders[1], 3)
    step = some_step()
    wait_for_snapshot(folders[1], step)
    _log.warning("rank 2 is killed after the snapshot that follows step %d", step)
    processes.ranks[2].kill()
    assert all(processes.wait())
    assert launched(folders[1], 3).wait() == [0, 0, 0]
    assert starts(folders[1])[1] >= step
    assert_same_weights(folders[1], folders[0])


@matrix
def test_an_executor_is_killed(
    turn: int, staged: tuple[str, str], undisturbed: Path, tmp_path: Path,
    driver: Callable[[], subprocess.Popen[bytes]],
) -> None:  # fmt: skip
    process, step = begun(tmp_path, staged, driver)
    victim = executors(process)[turn % 2]
    _log.warning("executor %d is killed after the snapshot that follows step %d", victim, step)
    os.kill(victim, signal.SIGKILL)
    assert process.wait(SECONDS) == 0, (tmp_path / "driver-0.log").read_text()[-2000:]
    assert len(starts(tmp_path)) == 2
    assert_same_weights(tmp_path, undisturbed)


@matrix
def test_the_driver_is_killed(
    turn: int, staged: tuple[str, str], undisturbed: Path, tmp_path: Path,
    driver: Callable[[], subprocess.Popen[bytes]],
) -> None:  # fmt: skip
    process, step = begun(tmp_path, staged, driver)
    _log.warning("the driver is killed after the snapshot that follows step %d", step)
    kill_driver(process)
    assert Run.open(tmp_path).result() is None
    assert driver().wait(SECONDS) == 0, (tmp_path / "driver-1.log").read_text()[-2000:]
    assert_same_weights(tmp_path, undisturbed)
