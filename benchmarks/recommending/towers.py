"""Two towers: the training of all solutions against a plain loop with the same network and the same batches."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import apart
from training import table

from recommending import data

USERS, ITEMS, RATINGS = 60_000, 10_000, 3_000_000
EPOCHS = 3  # of which the first is left out
GOALS = {("brightspark", "plain loop"): 0.9}


def measure(rounds: int) -> dict[str, Any]:
    """Users a second that are learned from."""
    contenders = {
        "brightspark": partial(_run, "ours"),
        "plain loop": partial(_run, "plain"),
    }
    return table.judged(table.rounds(contenders, rounds, "users/s"), "users/s", GOALS)


def _run(target: str) -> float:
    return float(apart.call(f"recommending.towers:{target}"))


def ours() -> float:
    """By the journal's times of the steps after the first epoch."""
    from brightspark.core.journal import read_journal
    from brightspark.recsys.towers_fit import train_towers

    settings = _settings()
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as folder:
        train_towers(None, _histories(Path(folder, "histories")), f"{folder}/run", settings)
        lines = list(read_journal(Path(folder, "run", "metrics.jsonl")))
    steps = [line for line in lines if line["kind"] == "step"]
    after = [line for line in steps if line["step"] >= max(line["step"] for line in steps) // EPOCHS]
    first, last = after[0], after[-1]
    return float((last["step"] - first["step"]) * settings.batch_size / (last["time"] - first["time"]))


def plain() -> float:
    """All histories in memory, shuffled, batch by batch."""
    import numpy as np
    import torch

    from brightspark.core.shards import Shards
    from brightspark.recsys.towers_fit import facts
    from brightspark.recsys.towers_training import build, loss

    settings = _settings()
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as folder:
        histories = _histories(Path(folder, "histories"))
        rows = Shards.open(histories.training).table(["items"]).combine_chunks()
        task = build(facts(histories, settings))
    module = task.module
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=settings.weight_decay, fused=True)
    began, seen = 0.0, 0
    for epoch in range(EPOCHS):
        if epoch == 1:
            began = time.perf_counter()
        order = np.random.default_rng(epoch).permutation(len(rows))
        for start in range(0, len(rows) - settings.batch_size + 1, settings.batch_size):
            batch = task.batch(rows.take(order[start : start + settings.batch_size]), True)
            optimizer.zero_grad()
            found = loss(module, batch)
            (found.total / found.weight).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), settings.clip_norm)
            optimizer.step()
            seen += settings.batch_size if epoch else 0
    return seen / (time.perf_counter() - began)


def _settings() -> Any:
    from brightspark.recsys.towers_settings import TowersSettings

    return TowersSettings(epochs=EPOCHS, snapshot_minutes=None)


def _histories(folder: Path) -> Any:
    from scipy.sparse import csr_matrix

    from brightspark.recsys.histories import write_histories

    user, item = data.pairs(USERS, ITEMS, RATINGS)
    matrix = csr_matrix(([1.0] * len(user), (user, item)), shape=(USERS, ITEMS), dtype="float32")
    folder.mkdir()
    return write_histories(matrix, folder, max_history=1_000)
