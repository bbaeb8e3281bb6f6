"""Ray Data's offline inference: `read_parquet`, then a stateful `map_batches` that tokenizes, pads and scores.

https://docs.ray.io/en/latest/data/batch_inference.html: an actor a core, batches of 32 texts padded to the longest.
`by_length` is what who knows texts does besides: sort the table by length first. Left alone Ray reads so small a table
as one block, for one of the actors: it is told to make eight for each. An actor takes half a CPU, so that the tasks
that read find one. Actors start anew in every execution: the scoring counts from the moment when the last of them had
loaded the network; what was read or sorted before that was for nothing.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from texts import data
from texts.job import CORES, Done, Job
from texts.network import load_network

if TYPE_CHECKING:
    import numpy as np
    import ray.data

BATCH = 32
BLOCKS = 8 * CORES
ACTOR_CPUS = TASK_CPUS = 0.5


class Score:
    """An actor that holds the network."""

    def __init__(self, job: Job, log: Path) -> None:
        self.network = load_network(job)
        with log.open("a") as file:
            file.write(f"{time.time()}\n")

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        probabilities = self.network.probabilities(*self.network.padded(batch["text"].tolist()))
        return {"id": batch["id"], "best": probabilities.argmax(axis=1), "probability": probabilities}


def run(job: Job) -> Done:
    """Score the texts in file order."""
    return _run(job, sort=False)


def by_length(job: Job) -> Done:
    """Score the texts sorted by their length in characters."""
    return _run(job, sort=True)


def _run(job: Job, *, sort: bool) -> Done:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        warm = _scored(job, job.warm_up, Path(scratch, "warm-up"), sort=sort).take_all()
        log = Path(scratch, "texts")
        done = _scored(job, job.texts, log, sort=sort).materialize()
        ended = time.time()
        count = done.count()
        ready = max(map(float, log.read_text().split()))
    ray.shutdown()
    answers = {int(row["id"]): data.LABELS[row["best"]] for row in warm}
    return Done(texts=count, seconds=ended - ready, answers=answers)


def _scored(job: Job, folder: Path, log: Path, *, sort: bool) -> ray.data.Dataset:
    import ray

    texts = ray.data.read_parquet(str(folder), num_cpus=TASK_CPUS).repartition(BLOCKS)
    if sort:
        texts = texts.map_batches(_with_length, num_cpus=TASK_CPUS).sort("length", descending=True)
    return texts.map_batches(
        Score,
        fn_constructor_args=(job, log),
        batch_size=BATCH,
        num_cpus=ACTOR_CPUS,
        compute=ray.data.ActorPoolStrategy(size=CORES),
    )


def _with_length(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    return {**batch, "length": [len(text) for text in batch["text"]]}
