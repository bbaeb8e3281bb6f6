"""Training resnet18 on two ranks against DDP written by hand, and what snapshots cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import apart

from training import data, resnet, table

PICTURES = 1500
GOAL, SNAPSHOT_GOAL, SNAPSHOT_STEPS = 0.95, 0.02, 50


def measure(rounds: int) -> dict[str, Any]:
    folder = data.pictures(PICTURES)
    rates = table.rounds(
        {"brightspark": lambda: ours(folder), "DDP by hand": lambda: by_hand(folder)}, rounds, "images/s"
    )
    return table.judged(rates, "images/s", {("brightspark", "DDP by hand"): GOAL})


def measure_snapshots(rounds: int) -> dict[str, Any]:
    shares = [snapshot_share(data.pictures(PICTURES)) for _ in range(rounds)]
    middle = sorted(share["share"] for share in shares)[rounds // 2]
    print(f"  {shares}")
    verdict = "met" if middle <= SNAPSHOT_GOAL else "SHORT"
    print(f"a snapshot every {SNAPSHOT_STEPS} steps: {middle:.2%} of the time, goal {SNAPSHOT_GOAL:.0%}: {verdict}")
    return {"runs": shares, "share": middle, "verdict": verdict}


def ours(folder: Path) -> float:
    """Samples a second of all steps but the first ten."""
    lines = [line for line in train(folder) if line["kind"] == "step" and line["step"] >= resnet.FIRST]
    first, last = lines[0], lines[-1]
    return (last["step"] - first["step"]) * resnet.BATCH / (last["time"] - first["time"])


def snapshot_share(folder: Path) -> dict[str, float]:
    lines = train(folder, snapshot_steps=10)  # more than are judged: each takes as long
    steps = [line for line in lines if line["kind"] == "step"]
    seconds = [line["seconds"] for line in lines if line["kind"] == "snapshot"]
    each = sum(seconds) / len(seconds)
    step = (steps[-1]["time"] - steps[0]["time"] - sum(seconds)) / (steps[-1]["step"] - steps[0]["step"])
    return {"seconds_each": each, "seconds_of_a_step": step, "share": each / (SNAPSHOT_STEPS * step + each)}


def train(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """The journal of a training by two processes, as torchrun starts them."""
    from brightspark.core.journal import read_journal
    from brightspark.core.run import Run
    from brightspark.core.training_settings import TrainingSettings

    chosen: dict[str, Any] = {
        "epochs": resnet.EPOCHS, "batch_size": resnet.BATCH, "loader_workers": resnet.WORKERS, "clip_norm": None,
        "learning_rate": resnet.RATE, "weight_decay": resnet.DECAY, "warmup": resnet.WARMUP, "precision": "bfloat16",
        "snapshot_minutes": None, **settings,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as out:
        run = Run(
            folder=Path(out), builder="training.resnet:build", training=str(folder), settings=TrainingSettings(**chosen)
        )
        run.write()
        torchrun(["-m", "brightspark.core.loop", out])
        return [dict(line) for line in read_journal(Path(out, "metrics.jsonl"))]


def by_hand(folder: Path) -> float:
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as out:
        file = Path(out, "rate")
        torchrun(["-m", "training.resnet", str(folder), str(file)])
        return float(file.read_text())


def torchrun(arguments: list[str]) -> None:
    path = os.pathsep.join(filter(None, [str(apart.HERE), str(apart.HERE.parent), os.environ.get("PYTHONPATH", "")]))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(resnet.RANKS),
            *arguments,
        ],
        check=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
