"""Small trainings for the tests: planned, launched as processes, watched, set back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from brightspark.core.journal import read_journal
from brightspark.core.run import Run
from brightspark.core.training_settings import TrainingSettings

ROWS, BATCH = 240, 24
BUILDER = "tests.core.toy_training:build"


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
