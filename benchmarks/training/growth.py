"""An epoch at 1×, 3× and 10× the rows: its time grows with them, the memory of the processes that read does not."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import apart
import torch
from ratios import spread

from training import data

ROWS, TIMES, BATCH, WORKERS = 2_000, (1, 3, 10), 64, 2
WINDOW_ROWS = 600
FLAT, LINEAR = 1.1, 0.9


def measure(rounds: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for windows in (None, WINDOW_ROWS):
        name = "windows of 600 rows" if windows else "a copy of all rows"
        found: dict[int, list[dict[str, float]]] = {times: [] for times in TIMES}
        for number in range(rounds):
            for times in apart.rotated(list(map(str, TIMES)), number):
                folder = str(data.records(ROWS * int(times)))
                found[int(times)].append(apart.call("training.growth:epoch", folder=folder, windows=windows))
        print(f"{name}:\n| rows | records/s | MiB of the processes, most | MiB on the disk, most |\n|" + " --- |" * 4)
        for times, runs in found.items():
            rate, memory, disk = (spread([run[key] for run in runs]) for key in ("rate", "memory", "disk"))
            print(f"| {times}× ({ROWS * times:,}) | {rate} | {memory} | {disk} |", flush=True)
        kept[name] = found
    return kept


def length(record: dict[str, Any], training: bool) -> int:
    return len(record["content"])


def epoch(folder: str, windows: int | None) -> dict[str, float]:
    """An epoch after a first one, which makes the copy: records a second, and the most memory seen on the way."""
    from brightspark.core.loader import training_batches
    from brightspark.core.order import Order, Position
    from brightspark.core.shards import Shards
    from brightspark.core.task import Task
    from brightspark.core.windows import Windows

    shards = Shards.open(folder)
    groups = tuple(rows for shard in shards.manifest.shards for rows in shard.row_groups) if windows else ()
    order = Order(rows=len(shards), groups=groups, window_rows=windows or 0)
    rows = Windows(shards, order, ["content"]) if windows else shards.rows(["content"])
    task = Task(
        module=torch.nn.Identity(), columns=("content",), example=length, collate=torch.tensor, loss=lambda *_: None
    )  # type: ignore[arg-type, return-value]
    loaded = training_batches(rows, task, order=order, position=Position(), epochs=2, batch_size=BATCH, workers=WORKERS)
    place = rows.folder
    began, seen, memory, disk = 0.0, 0, 0.0, 0.0
    for step, one in enumerate(loaded):
        if one.after.epoch == 1 and not began:
            began = time.perf_counter()
        elif began:
            seen += len(one.taken.batch)
        if step % 20 == 0:
            memory = max(memory, private_mib())
            disk = max(disk, sum(file.stat().st_size for file in place.glob("*.arrow")) / 2**20)
    return {"rate": seen / (time.perf_counter() - began), "memory": memory, "disk": disk}


def private_mib() -> float:
    """What this process and those below it have for themselves; pages of mapped files are the kernel's."""
    mine = [os.getpid(), *map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())]
    return sum(_private(process) for process in mine) / 1024


def _private(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
