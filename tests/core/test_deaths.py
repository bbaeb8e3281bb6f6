"""A training with a driver and two executors of their own: whoever is killed, the weights are the same in the end.

`make test-kill` runs the whole matrix; `make test` one case of each kind.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from brightspark.core.journal import read_journal
from brightspark.core.run import METRICS, Run
from tests.core.test_launch import planned
from tests.core.toy_training import write_rows

SCRIPT = Path(__file__).with_name("training_script.py")
SECONDS = 300
_log = logging.getLogger(__name__)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
matrix = pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.kill) for turn in (1, 2))])


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("staged")
    return write_rows(folder / "training", 240), write_rows(folder / "validation", 50)


@pytest.fixture(scope="module")
def undisturbed(staged: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training by two processes of the plain loop."""
    from tests.core.test_loop import launched

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


def wait_for_snapshot(folder: Path, step: int) -> None:
    deadline = time.monotonic() + SECONDS
    while not any(line["kind"] == "snapshot" and line["step"] >= step for line in read_journal(folder / METRICS)):
        assert time.monotonic() < deadline, f"step {step} did not come"
        time.sleep(0.01)


def executors(process: subprocess.Popen[bytes]) -> list[int]:
    """The executors' JVMs, in the session of the driver's process."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            words = (one / "cmdline").read_bytes()
            session = int((one / "stat").read_text().rpartition(")")[2].split()[3])
        except (OSError, IndexError, ValueError):
            continue
        if session == process.pid and b"CoarseGrainedExecutorBackend" in words:
            found.append(int(one.name))
    return sorted(found)


def assert_same_weights(folder: Path, undisturbed: Path) -> None:
    wanted, found = (load_file(one / "weights.safetensors") for one in (undisturbed, folder))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


@matrix
def test_an_executor_is_killed(
    turn: int, staged: tuple[str, str], undisturbed: Path, tmp_path: Path,
    driver: Callable[[], subprocess.Popen[bytes]],
) -> None:  # fmt: skip
    planned(tmp_path, staged, {"seconds": 0.02}).write()
    process = driver()
    step = some_step()
    wait_for_snapshot(tmp_path, step)
    victim = executors(process)[turn % 2]
    _log.warning("executor %d is killed after the snapshot that follows step %d", victim, step)
    os.kill(victim, signal.SIGKILL)
    assert process.wait(SECONDS) == 0, (tmp_path / "driver-0.log").read_text()[-2000:]
    started = [line for line in read_journal(tmp_path / METRICS) if line["kind"] == "started"]
    assert len(started) == 2
    assert_same_weights(tmp_path, undisturbed)


@matrix
def test_the_driver_is_killed(
    turn: int, staged: tuple[str, str], undisturbed: Path, tmp_path: Path,
    driver: Callable[[], subprocess.Popen[bytes]],
) -> None:  # fmt: skip
    planned(tmp_path, staged, {"seconds": 0.02}).write()
    process = driver()
    step = some_step()
    wait_for_snapshot(tmp_path, step)
    _log.warning("the driver is killed after the snapshot that follows step %d", step)
    end_group(process)
    assert Run.open(tmp_path).result() is None
    assert driver().wait(SECONDS) == 0, (tmp_path / "driver-1.log").read_text()[-2000:]
    assert_same_weights(tmp_path, undisturbed)
