"""A process for each core, each with its share of a table's files, and no framework around them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import TypeAlias

from texts import data
from texts.job import CORES, Done, Job, Stopwatch

Score: TypeAlias = Callable[[Mapping[int, str]], dict[int, str]]
"""Texts by id to answers by id."""
Load: TypeAlias = Callable[[Job], Score]


def run(load: Load, job: Job, *, all_answers: bool = False) -> Done:
    """Score with what `load` makes in each process; the answers told are those of the warm-up, or all."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for number in range(CORES):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_work, args=(theirs, load, job, number)))
        processes[-1].start()
        theirs.close()  # so that a process that dies is noticed
        pipes.append(ours)
    warm = {number: answer for pipe in pipes for number, answer in pipe.recv().items()}
    watch = Stopwatch()
    for pipe in pipes:
        pipe.send(None)
    answers = {number: answer for pipe in pipes for number, answer in pipe.recv().items()}
    seconds = watch.seconds()
    for process in processes:
        process.join()
    return Done(texts=len(answers), seconds=seconds, answers=answers if all_answers else warm)


def _work(pipe: Connection, load: Load, job: Job, number: int) -> None:
    score = load(job)
    pipe.send(score(data.rows(job.warm_up, number, CORES)))
    pipe.recv()
    pipe.send(score(data.rows(job.texts, number, CORES)))
