"""Seconds from a rank's death to the next step, through Spark, and what they are spent on."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import apart

from training import data, resnet

GOAL = 30  # seconds
KILLED_AT = 12  # steps


def measure(rounds: int) -> dict[str, Any]:
    folder = str(data.pictures(1500))
    runs = [apart.call("training.recovery:killed", folder=folder) for _ in range(rounds)]
    for run in runs:
        print(f"  {run}")
    found = {name: median(run[name] for run in runs) for name in runs[0]}
    verdict = "met" if found["all"] <= GOAL else "SHORT"
    print(
        f"from a rank's death to the next step {found['all']:.1f} s (until the driver knows {found['noticed']:.1f}, "
        f"until the ranks stand again {found['started']:.1f}, the first step {found['stepped']:.1f}), goal {GOAL}: "
        f"{verdict}"
    )
    return {"runs": runs, "median": found, "verdict": verdict}


class _Noticed(logging.Handler):
    """When the driver says that it launches again."""

    at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if "launching again" in record.getMessage():
            self.at = time.time()


def killed(folder: str) -> dict[str, float]:
    """resnet18 on two slots of one machine; rank 1 is killed after a snapshot."""
    from brightspark.core.launch import train
    from brightspark.core.run import Run
    from brightspark.core.session import session
    from brightspark.core.training_settings import TrainingSettings

    noticed = _Noticed()
    logging.getLogger("brightspark").addHandler(noticed)
    times: dict[str, float] = {}

    def watch(line: Mapping[str, Any]) -> None:
        if line["kind"] == "snapshot" and line["step"] >= KILLED_AT and "killed" not in times:
            times["killed"] = time.time()
            kill_rank(1)
        elif "killed" in times and line["time"] > times["killed"]:
            again = line["kind"] == "started" or (line["kind"] == "step" and "started" in times)
            times.update({line["kind"]: line["time"]} if again and line["kind"] not in times else {})

    settings = TrainingSettings(
        epochs=2, batch_size=resnet.BATCH, ranks=2, loader_workers=resnet.WORKERS, snapshot_steps=KILLED_AT
    )
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as out:
        run = Run(folder=Path(out), builder="training.resnet:build", training=folder, settings=settings)
        train(session(), run, say=watch)
    return {
        "noticed": noticed.at - times["killed"],
        "started": times["started"] - noticed.at,
        "stepped": times["step"] - times["started"],
        "all": times["step"] - times["killed"],
    }


def kill_rank(rank: int) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "environ").read_bytes().split(b"\0")
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            above = (Path("/proc") / parent / "cmdline").read_bytes()
        except OSError:
            continue
        if f"RANK={rank}".encode() in words and b"torch.distributed.run" in above:
            os.kill(int(process.name), signal.SIGKILL)
            return
    raise RuntimeError(f"there is no rank {rank}")
