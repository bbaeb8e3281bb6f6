"""The limit: a plain loop over files with timm and torch, and no framework around it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders.job import Job, Settings, Stopwatch, Timing, image_paths, in_batches

if TYPE_CHECKING:
    import numpy as np
    import torch
    from classifier import Classifier

    Answers = list[tuple[np.ndarray, np.ndarray]]

CORES = len(os.sched_getaffinity(0))
SHAPES: tuple[dict[str, int], ...] = (
    {"processes": CORES, "threads": 1, "loader_workers": 0},
    {"processes": 1, "threads": CORES, "loader_workers": 0},
    {"processes": 1, "threads": 1, "loader_workers": CORES},
    {"processes": 1, "threads": CORES, "loader_workers": CORES},
)


def choices(*, bfloat16: bool) -> tuple[Settings, ...]:
    """Every shape in batches of 32, the first in smaller and larger ones too, with channels_last off and on."""
    sizes = [(shape, 32) for shape in SHAPES] + [(SHAPES[0], 16), (SHAPES[0], 64)]
    return tuple(
        {**shape, "batch": batch, "channels_last": channels_last, "bfloat16": bfloat16}
        for (shape, batch), channels_last in product(sizes, (False, True))
    )


def run(job: Job, settings: Settings) -> Timing:
    """Score with the settings' shape: processes, torch threads in each, and workers of torch's DataLoader."""
    if settings["loader_workers"]:
        return _run_loader(job, settings)
    return _run_processes(job, settings)


def _load(job: Job, settings: Settings) -> Classifier:
    from classifier import Classifier

    return Classifier.load(
        job.model,
        threads=settings["threads"],
        bfloat16=settings["bfloat16"],
        channels_last=settings["channels_last"],
    )


def _run_processes(job: Job, settings: Settings) -> Timing:
    """Each process decodes and scores its share of the files, one after the other."""
    watch = Stopwatch()
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for number in range(settings["processes"]):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_loop, args=(theirs, job, settings, number)))
        processes[-1].start()
        pipes.append(ours)
    _receive(pipes)
    start = watch.lap()
    _send(pipes, "load")
    answers = {name: answer for share in _receive(pipes) for name, answer in share.items()}
    load = watch.lap()
    _send(pipes, "score")
    _receive(pipes)
    score = watch.lap()
    for process in processes:
        process.join()
    return Timing(start=start, load=load, score=score, answers=answers)


def _loop(pipe: Connection, job: Job, settings: Settings, number: int) -> None:
    """One process of the plain loop: a phase for each word that the parent sends."""
    import timm  # noqa: F401 (its import belongs to the start)

    pipe.send(None)
    pipe.recv()
    classifier = _load(job, settings)
    share = image_paths(job.warm_up)[number :: settings["processes"]]
    pipe.send(_named(share, _score_files(classifier, share, settings["batch"])))
    pipe.recv()
    share = image_paths(job.images)[number :: settings["processes"]]
    pipe.send(sum(len(classes) for classes, _ in _score_files(classifier, share, settings["batch"])))


def _score_files(classifier: Classifier, paths: list[str], batch: int) -> Answers:
    return [
        classifier.predict([classifier.decode(Path(path).read_bytes()) for path in some])
        for some in in_batches(paths, batch)
    ]


def _run_loader(job: Job, settings: Settings) -> Timing:
    """torch's DataLoader decodes in its workers, the model runs in this process."""
    watch = Stopwatch()
    import timm  # noqa: F401
    from torch.utils.data import DataLoader

    start = watch.lap()
    classifier = _load(job, settings)
    warm_up, images = image_paths(job.warm_up), image_paths(job.images)
    order: list[int] = list(range(len(warm_up)))
    loader = DataLoader(
        _Files([*warm_up, *images], classifier),  # type: ignore[arg-type]
        batch_size=settings["batch"],
        sampler=order,
        num_workers=settings["loader_workers"],
        persistent_workers=True,
        collate_fn=list,
    )
    answers = _named(warm_up, [classifier.predict(batch) for batch in loader])
    load = watch.lap()
    order[:] = range(len(warm_up), len(warm_up) + len(images))
    scored = [classifier.predict(batch) for batch in loader]
    assert sum(len(classes) for classes, _ in scored) == len(images)
    return Timing(start=start, load=load, score=watch.lap(), answers=answers)


class _Files(Sequence["torch.Tensor"]):
    """Decoded images by number: what a DataLoader reads."""

    def __init__(self, paths: list[str], classifier: Classifier) -> None:
        self._paths, self._classifier = paths, classifier

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: Any) -> Any:
        return self._classifier.decode(Path(self._paths[number]).read_bytes())


def _named(paths: list[str], answers: Answers) -> dict[str, int]:
    classes: Iterator[int] = (int(number) for some, _ in answers for number in some)
    return {Path(path).name: number for path, number in zip(paths, classes, strict=True)}


def _send(pipes: list[Connection], word: str) -> None:
    for pipe in pipes:
        pipe.send(word)


def _receive(pipes: list[Connection]) -> list[Any]:
    return [pipe.recv() for pipe in pipes]
