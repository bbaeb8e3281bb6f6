"""Staged rows to batches of tensors, the same ones for the same keys in whichever process. Knows no Spark."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import Dataset

from brightspark.core.errors import one_line
from brightspark.core.order import Indices
from brightspark.core.shards import Rows
from brightspark.core.task import Batch, Example, Record, Task
from brightspark.core.windows import Windows

STAND_INS = 1000  # rows that are tried in place of a batch that cannot be read
_64_BITS = (1 << 64) - 1


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


class Keys(NamedTuple):
    """Names a batch."""

    epoch: int
    rows: Indices
    places: Indices
    """Where the rows stand in the epoch's order: of a row that is drawn twice, each turn has its own."""
    new: int
    """How many of the rows, from the first on, this epoch has not seen yet; the others fill up its last batch."""

    def skipped(self, number: int, error: Exception) -> list[Skipped]:
        """The row of that number within the batch as one that could not be read; none where it only fills up."""
        return [Skipped(int(self.rows[number]), one_line(error))] if number < self.new else []


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
            batch, _ = self._made(Keys(keys.epoch, rows, keys.places, 0), self.rows.table(keys.epoch, rows))
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
        for number, record in enumerate(_records(table)):
            seed_processor(self.seed, keys.epoch, int(keys.places[number]))
            try:
                good.append(self.example(record, self.training))
            except Exception as error:
                skipped += keys.skipped(number, error)
        return (self.collate(good) if good else None), skipped

    def _at_once(self, keys: Keys, table: pa.Table) -> tuple[Batch | None, list[Skipped]]:
        assert self.batch is not None
        seed_processor(self.seed, keys.epoch, int(keys.places[0]))
        try:
            return self.batch(table, self.training), []
        except Exception:
            good, skipped = self._told_apart(keys, table)
            if len(good) == len(table):
                raise
        seed_processor(self.seed, keys.epoch, int(keys.places[0]))
        return (self.batch(table.take(pa.array(good)), self.training) if good else None), skipped

    def _told_apart(self, keys: Keys, table: pa.Table) -> tuple[list[int], list[Skipped]]:
        """The numbers of the rows that make a batch alone, and those that do not."""
        assert self.batch is not None
        good: list[int] = []
        skipped: list[Skipped] = []
        for number in range(len(keys.rows)):
            try:
                self.batch(table.slice(number, 1), self.training)
            except Exception as error:
                skipped += keys.skipped(number, error)
            else:
                good.append(number)
        return good, skipped


def _records(table: pa.Table) -> Iterator[Record]:
    """The rows one by one: large ones, each a chunk of its own, are not in memory together."""
    for chunk in table.to_batches():
        yield from chunk.to_pylist()


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
