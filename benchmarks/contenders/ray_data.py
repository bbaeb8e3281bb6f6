"""Ray Data's offline inference: `read_binary_files`, decoding by `map`, a stateful `map_batches`.

https://docs.ray.io/en/latest/data/batch_inference.html, with fractions of CPUs for what waits, as in
https://docs.ray.io/en/latest/data/performance-tips.html. Its actors start anew in every execution: the scoring
counts from the moment when the last of them had loaded the model, decoding done before that for nothing.
"""

from __future__ import annotations

import os
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders.job import Job, Settings, Stopwatch, Timing

if TYPE_CHECKING:
    import numpy as np
    import ray.data

CHOICES: tuple[Settings, ...] = tuple(
    {"decode": decode, "batch": batch, "channels_last": channels_last, "actor_cpus": 0.5, "task_cpus": 0.5}
    for decode, batch, channels_last in product(("map", "actor"), (32, 64), (False, True))
)


class Decode:
    """Encoded images as the model's input; a plain task, since it holds no weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.transform: Any = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        import classifier

        self.transform = self.transform or classifier.load_transform(self.folder)
        image = classifier.decode(row["bytes"], self.transform)
        return {"path": row["path"], "image": image.numpy()}


class Score:
    """An actor that holds the model; decodes too when it gets encoded images."""

    def __init__(self, folder: Path, log: Path, channels_last: bool) -> None:
        from classifier import Classifier

        self.classifier = Classifier.load(folder, threads=1, channels_last=channels_last)
        with log.open("a") as file:
            file.write(f"{time.time()}\n")

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        if "bytes" in batch:
            images = [self.classifier.decode(content) for content in batch["bytes"]]
        else:
            images = list(torch.from_numpy(batch["image"]))
        classes, probabilities = self.classifier.predict(images)
        return {"path": batch["path"], "prediction": classes, "probability": probabilities}


def run(job: Job, settings: Settings) -> Timing:
    """Score with one actor a core; decode in tasks beside them, or in the actors."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    watch = Stopwatch()
    import ray

    ray.init(num_cpus=job.cores, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    start = watch.lap()
    with tempfile.TemporaryDirectory() as scratch:
        rows = _scored(job, settings, job.warm_up, Path(scratch, "warm-up")).take_all()
        answers = {Path(row["path"]).name: int(row["prediction"]) for row in rows}
        load = watch.lap()
        log = Path(scratch, "images")
        began = time.time()
        done = _scored(job, settings, job.images, log).materialize()
        ended = time.time()
        assert done.count() > 0
        ready = max(map(float, log.read_text().split()))
    ray.shutdown()
    return Timing(start=start, load=load + ready - began, score=ended - ready, answers=answers)


def _scored(job: Job, settings: Settings, folder: Path, log: Path) -> ray.data.Dataset:
    import ray

    reading = {"num_cpus": settings["task_cpus"]}
    images = ray.data.read_binary_files(str(folder), include_paths=True, ray_remote_args=reading)
    if settings["decode"] == "map":
        decode = Decode(job.model)
        images = images.map(lambda row: decode(row), num_cpus=settings["task_cpus"])
    return images.map_batches(
        Score,
        fn_constructor_args=(job.model, log, settings["channels_last"]),
        batch_size=settings["batch"],
        num_cpus=settings["actor_cpus"],
        compute=ray.data.ActorPoolStrategy(size=job.cores),
    )
