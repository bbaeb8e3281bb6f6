"""Batches in an exact order, made by processes ahead of the model. Knows no Spark."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import DataLoader

from brightspark.core.batches import Batches, Keys, Taken
from brightspark.core.errors import SetupError, one_line
from brightspark.core.memory import keep_freed_memory
from brightspark.core.order import Order, Position
from brightspark.core.shards import Rows
from brightspark.core.task import Task
from brightspark.core.windows import Windows

PREFETCH = 2  # batches that each loader process keeps ready
BLOCK_ROWS = 1 << 14  # that are read in one go where a batch is made at once: a batch alone is too little work


class Loaded(NamedTuple):
    """A rank's share of a step."""

    taken: Taken
    after: Position
    """Where training stands once this step is done."""


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
    batches = Batches(rows, task, seed=order.seed, training=True)
    share = {"batch_size": batch_size, "rank": rank, "ranks": ranks}
    afterwards: deque[Position] = deque()  # of the batches that the loader has begun

    def keys() -> Iterator[Keys]:
        before = position
        for rows, after in _steps(order, position, epochs, share):
            afterwards.append(after)
            left = -(-(order.rows - before.consumed - rank) // ranks)  # for this rank, of the epoch
            yield Keys(before.epoch, rows, before.consumed + rank + ranks * np.arange(len(rows)), left)
            before = after

    blocks = _blocks(keys(), _block_size(task, batch_size))
    for block in _watched(_loader(batches, blocks, workers, pin_memory)):
        for taken in block:
            yield Loaded(taken, afterwards.popleft())


def validation_batches(
    rows: Rows,
    task: Task,
    *,
    batch_size: int,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Taken]:
    """One rank's share of all rows, each row once over all ranks: shares may differ by one row."""
    batches = Batches(rows, task, seed=0, training=False)
    mine = np.arange(rank, len(rows), ranks)
    parts = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
    keys = [Keys(0, part, part, len(mine)) for part in parts]
    blocks = _blocks(keys, _block_size(task, batch_size))
    for block in _watched(_loader(batches, blocks, workers, pin_memory)):
        yield from block


def _steps(order: Order, position: Position, epochs: int, share: dict[str, int]) -> Iterator[tuple[Any, Position]]:
    while position.epoch < epochs:
        yield from order.batches(position, **share)
        position = Position(epoch=position.epoch + 1)


def _block_size(task: Task, batch_size: int) -> int:
    """Batches that are read in one go."""
    return 1 if task.batch is None else max(1, BLOCK_ROWS // batch_size)


def _blocks(keys: Iterable[Keys], size: int) -> Iterator[list[Keys]]:
    """Keys in blocks, each of one epoch."""
    block: list[Keys] = []
    for one in keys:
        if block and (len(block) == size or block[0].epoch != one.epoch):
            yield block
            block = []
        block.append(one)
    if block:
        yield block


def _loader(batches: Batches, blocks: Iterable[list[Keys]], workers: int, pin_memory: bool) -> DataLoader[Any]:
    return DataLoader(
        batches,
        batch_sampler=blocks,  # any iterable will do
        collate_fn=_as_it_is,  # torch expects a list, and passes on what it gets
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        multiprocessing_context=_fresh_processes(batches) if workers else None,
        worker_init_fn=_begin,
        pin_memory=pin_memory,
    )


def _fresh_processes(batches: Batches) -> Any:
    """Processes from a server without threads: a fork of this one may wait for ever for a lock of gloo's or Spark's.

    The server has imported what they need, once for all of them.
    """
    context = multiprocessing.get_context("forkserver")
    made_by = batches.batch or batches.example
    module = getattr(made_by, "__module__", None) or type(made_by).__module__
    context.set_forkserver_preload([__name__, *([module] if module != "__main__" else [])])
    return context


def _begin(worker: int) -> None:
    """What a loader process does first."""
    keep_freed_memory()
    _end_with_parent()


def _end_with_parent() -> None:
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
        with _without_main():
            loaded = iter(loader)
        yield from loaded
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or str(error).startswith("Caught "):  # raised there, not died
            raise
        raise SetupError(
            f"a process that loads records died ({one_line(error)}): the system ends them when memory, or the shared "
            "memory of /dev/shm, runs out. Set loader_workers or batch_size lower"
        ) from error


@contextmanager
def _without_main() -> Iterator[None]:
    """Keeps processes that start afresh from running the user's script again, which may have no guard.

    Whatever they need comes from modules that they import by name.
    """
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


def _as_it_is(block: list[Taken]) -> list[Taken]:
    return block
