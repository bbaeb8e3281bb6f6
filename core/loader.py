"""Staged rows to batches of tensors, decoded by processes ahead of the model, in an exact order. Knows no Spark."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset

from brightspark.core.errors import SetupError, one_line
from brightspark.core.memory import keep_freed_memory
from brightspark.core.order import Indices, Order, Position
from brightspark.core.shards import Rows
from brightspark.core.task import Batch, Example, Record, Task
from brightspark.core.windows import Windows

PREFETCH = 2  # batches that each loader process keeps ready
_64_BITS = (1 << 64) - 1
BLOCK_ROWS = 1 << 14  # that are read in one go where a batch is made at once: a batch alone is too little work
STAND_INS = 1000  # rows that are tried in place of a batch that cannot be read


@dataclass(frozen=True)
class Skipped:
    """A record that could not be made into an example."""

    row: int
    reason: str


class Taken(NamedTuple):
    """What a loader process makes of some rows."""

    batch: Batch | None
    """None where no record can be read, nor any of those that could stand in."""
    skipped: Sequence[Skipped]
    counts: bool = True
    """Whether the batch is made of the rows; else others stand in, since every rank has to take part in a step."""


class Loaded(NamedTuple):
    """A rank's share of a step."""

    taken: Taken
    after: Position
    """Where training stands once this step is done."""


class Keys(NamedTuple):
    """Names a batch."""

    epoch: int
    rows: Indices
    new: int
    """How many of the rows, from the first on, this epoch has not seen yet; the others fill up its last batch."""


class Batches(Dataset[Any]):
    """Batches by their keys: the same keys always give the same batch, in whichever process."""

    def __init__(self, rows: Rows | Windows, task: Task, *, seed: int, training: bool) -> None:
        self.rows = rows
        self.example, self.collate, self.batch = task.example, task.collate, task.batch
        self.seed, self.training = seed, training

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, block: Sequence[Keys]) -> list[Taken]:
        """Some batches of one epoch: what torch calls for whatever its batch sampler gives."""
        table = self.rows.table(block[0].epoch, np.concatenate([keys.rows for keys in block]))
        taken, start = [], 0
        for keys in block:
            taken.append(self._taken(keys, table.slice(start, len(keys.rows))))
            start += len(keys.rows)
        return taken

    def _taken(self, keys: Keys, table: pa.Table) -> Taken:
        batch, skipped = self._made(keys, table)
        if batch is not None or not self.training:
            return Taken(batch, skipped)
        first = int(keys.rows[0])
        for further in range(1, min(STAND_INS, len(self))):
            row = (first + further) % len(self)  # as often as there are rows: batch norms refuse a single one
            rows = np.full(len(keys.rows), row)
            batch, _ = self._made(Keys(keys.epoch, rows, 0), self.rows.table(keys.epoch, rows))
            if batch is not None:
                return Taken(batch, skipped, counts=False)
        return Taken(None, skipped, counts=False)

    def _made(self, keys: Keys, table: pa.Table) -> tuple[Batch | None, list[Skipped]]:
        return self._at_once(keys, table) if self.batch is not None else self._one_by_one(keys, table)

    def _one_by_one(self, keys: Keys, table: pa.Table) -> tuple[Batch | None, list[Skipped]]:
        assert self.example is not None
        assert self.collate is not None
        good: list[Example] = []
        skipped: list[Skipped] = []
        for place, (row, record) in enumerate(zip(keys.rows.tolist(), _records(table), strict=True)):
            seed_processor(self.seed, keys.epoch, row)
            try:
                good.append(self.example(record, self.training))
            except Exception as error:
                skipped += [Skipped(row, one_line(error))] if place < keys.new else []
        return (self.collate(good) if good else None), skipped

    def _at_once(self, keys: Keys, table: pa.Table) -> tuple[Batch | None, list[Skipped]]:
        assert self.batch is not None
        seed_processor(self.seed, keys.epoch, int(keys.rows[0]))
        try:
            return self.batch(table, self.training), []
        except Exception:
            good, skipped = self._told_apart(keys, table)
            if len(good) == len(table):
                raise
        seed_processor(self.seed, keys.epoch, int(keys.rows[0]))
        return (self.batch(table.take(pa.array(good)), self.training) if good else None), skipped

    def _told_apart(self, keys: Keys, table: pa.Table) -> tuple[list[int], list[Skipped]]:
        """The places of the rows that make a batch alone, and those that do not."""
        assert self.batch is not None
        good: list[int] = []
        skipped: list[Skipped] = []
        for place, row in enumerate(keys.rows.tolist()):
            try:
                self.batch(table.slice(place, 1), self.training)
            except Exception as error:
                skipped += [Skipped(row, one_line(error))] if place < keys.new else []
            else:
                good.append(place)
        return good, skipped


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
            yield Keys(before.epoch, rows, left)
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
    keys = [Keys(0, mine[start : start + batch_size], len(mine)) for start in range(0, len(mine), batch_size)]
    blocks = _blocks(keys, _block_size(task, batch_size))
    for block in _watched(_loader(batches, blocks, workers, pin_memory)):
        yield from block


def seed_everything(*numbers: int) -> None:
    """Seeds Python's, numpy's and torch's random numbers, on every device, from several numbers together."""
    torch.manual_seed(seed_processor(*numbers))


def seed_processor(*numbers: int) -> int:
    """The same on the processor alone, for whoever does it for each record: in a tenth of the time. The seed."""
    seed = 0
    for number in numbers:  # splitmix64's mixing (Steele et al. 2014, doi:10.1145/2660193.2660195)
        seed = (seed ^ number) + 0x9E3779B97F4A7C15 & _64_BITS
        seed = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
        seed = (seed ^ seed >> 27) * 0x94D049BB133111EB & _64_BITS
        seed ^= seed >> 31
    seed >>= 32  # as many bits as numpy takes
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    return seed


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


def _records(table: pa.Table) -> Iterator[Record]:
    """The rows one by one: large ones, each a chunk of its own, are not in memory together."""
    for chunk in table.to_batches():
        yield from chunk.to_pylist()


def _as_it_is(block: list[Taken]) -> list[Taken]:
    return block
