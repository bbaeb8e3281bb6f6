"""Staged rows to batches of tensors, decoded by processes ahead of the model, in an exact order. Knows no Spark."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from brightspark.core.errors import SetupError, one_line
from brightspark.core.order import Order, Position
from brightspark.core.shards import Key, Rows
from brightspark.core.task import Batch, Example, Record, Task
from brightspark.core.windows import Windows

PREFETCH = 2  # batches that each loader process keeps ready


@dataclass(frozen=True)
class Skipped:
    """A record that could not be made into an example."""

    row: int
    reason: str


class Loaded(NamedTuple):
    """A rank's share of a step."""

    batch: Batch | None
    """None where every record was skipped."""
    skipped: Sequence[Skipped]
    after: Position
    """Where training stands once this step is done."""


class Examples(Dataset[Any]):
    """Examples by (epoch, row): the same key always gives the same example, in whichever process."""

    def __init__(
        self, rows: Rows | Windows, example: Callable[[Record, bool], Example], *, seed: int, training: bool
    ) -> None:
        self.rows, self.example = rows, example
        self.seed, self.training = seed, training

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: Sequence[Key]) -> list[Example | Skipped]:
        """The examples of several keys; a record that fails is in its place as a Skipped."""
        records = self.rows.records(keys)
        return [self._one(key, record) for key, record in zip(keys, records, strict=True)]

    def _one(self, key: Key, record: Record) -> Example | Skipped:
        seed_everything(self.seed, *key)
        try:
            return self.example(record, self.training)
        except Exception as error:
            return Skipped(key[1], one_line(error))


def training_batches(
    rows: Rows | Windows,
    task: Task,
    *,
    order: Order,
    position: Position,
    epochs: int,
    batch_size: int,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Loaded]:
    """One rank's batches from a position to the end of the last epoch."""
    examples = Examples(rows, task.example, seed=order.seed, training=True)
    share = {"batch_size": batch_size, "rank": rank, "ranks": ranks}
    afterwards: deque[Position] = deque()  # of the batches that the loader has begun

    def keys() -> Iterator[list[Key]]:
        for taken, after in _steps(order, position, epochs, share):
            afterwards.append(after)
            epoch = after.epoch if after.consumed else after.epoch - 1  # the one that the step belongs to
            yield [(epoch, int(row)) for row in taken]

    for batch, skipped in _watched(_loader(examples, task, keys(), workers, pin_memory)):
        yield Loaded(batch, skipped, afterwards.popleft())


def validation_batches(
    rows: Rows,
    task: Task,
    *,
    batch_size: int,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[tuple[Batch | None, Sequence[Skipped]]]:
    """One rank's share of all rows, each row once over all ranks: shares may differ by one row."""
    examples = Examples(rows, task.example, seed=0, training=False)
    mine = range(rank, len(rows), ranks)
    keys = [[(0, row) for row in mine[start : start + batch_size]] for start in range(0, len(mine), batch_size)]
    yield from _watched(_loader(examples, task, keys, workers, pin_memory))


def seed_everything(*numbers: int) -> None:
    """Seeds Python's, numpy's and torch's random numbers from several numbers together."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _steps(order: Order, position: Position, epochs: int, share: dict[str, int]) -> Iterator[tuple[Any, Position]]:
    while position.epoch < epochs:
        yield from order.batches(position, **share)
        position = Position(epoch=position.epoch + 1)


def _loader(
    examples: Examples, task: Task, keys: Iterable[list[Key]], workers: int, pin_memory: bool
) -> DataLoader[Any]:
    # A forked process inherits the locks of threads that it does not have: where Spark's client runs, start afresh.
    driver = "pyspark" in sys.modules and "RANK" not in os.environ
    context = None if not workers else "forkserver" if driver else "fork"
    return DataLoader(
        examples,
        batch_sampler=keys,  # any iterable of lists of keys
        collate_fn=_Collate(task.collate),
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        multiprocessing_context=context,
        worker_init_fn=_end_with_parent,
        pin_memory=pin_memory,
    )


def _end_with_parent(worker: int) -> None:
    """Ends a loader process when the one that it loads for was killed; torch's own watch misses a fork server's."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a loader process has a parent"

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _watched(loader: DataLoader[Any]) -> Iterator[Any]:
    """What a loader gives; where one of its processes dies, an error that says what that means."""
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise SetupError(
            f"a process that loads records died ({one_line(error)}): the system ends them when memory, or the shared "
            "memory of /dev/shm, runs out. Set loader_workers or batch_size lower"
        ) from error


@dataclass(frozen=True)
class _Collate:
    """Good examples as a batch, and the records that were skipped."""

    collate: Callable[[Sequence[Example]], Batch]

    def __call__(self, examples: Sequence[Example | Skipped]) -> tuple[Batch | None, list[Skipped]]:
        good = [example for example in examples if not isinstance(example, Skipped)]
        skipped = [example for example in examples if isinstance(example, Skipped)]
        return (self.collate(good) if good else None), skipped
