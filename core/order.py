"""In which order a training sees the rows: a permutation by seed and epoch, whatever the number of ranks.

Knows neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer]
POOL = 16  # batches whose rows are sorted by length together: more would pad little less, and mix less
ALIKE = 1.1  # lengths up to so many times each other count as equal: what is as long to a letter may say the same


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a training stands: samples consumed of an epoch, by all ranks together."""

    epoch: int = 0
    consumed: int = 0


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order of `rows` rows.

    Each epoch is one permutation of all rows. All ranks walk through it together: of each global batch, rank r of n
    takes every n-th sample, beginning with its r-th. So what has been seen follows from the position alone, and a
    training goes on from there with any number of ranks.

    With `lengths`, rows of like lengths share a global batch, so that little of it is padding.

    With `windows`, for data that no node's disk holds, an epoch permutes the row groups, cuts them into windows of at
    least so many rows, and permutes the rows of each window.

    A last global batch that is not full is padded with the first rows of the same permutation (of its last window), so
    that all ranks take equally many steps of equal size: an epoch repeats at most `ranks * batch_size - 1` rows.
    """

    rows: int
    seed: int = 0
    shuffle: bool = True
    groups: tuple[int, ...] = ()
    """The rows of each row group, where they are read in windows."""
    window_rows: int = 0
    weights: NDArray[np.float64] | None = None
    """How often each row is drawn, relative to the others; not with windows."""
    lengths: NDArray[np.integer] | None = None
    """How long each row is, where like lengths are to share a batch; not with windows."""
    together: int = 1
    """How many rows of like lengths stand side by side: those of a global batch."""

    def permutation(self, epoch: int) -> Indices:
        """The epoch's order: 4 bytes a row below 2^32 rows.

        >>> Order(rows=5, seed=7).permutation(epoch=0), Order(rows=5, seed=7).permutation(epoch=1)
        (array([2, 0, 4, 1, 3], dtype=uint32), array([3, 0, 2, 1, 4], dtype=uint32))
        """
        kind = np.uint32 if self.rows < 2**32 else np.uint64
        generator = np.random.default_rng([self.seed, epoch])
        if self.weights is not None:
            shares = self.weights / self.weights.sum()
            return self._side_by_side(generator.choice(self.rows, size=self.rows, p=shares).astype(kind), generator)
        if not self.groups:
            return self._side_by_side(self._shuffled(np.arange(self.rows).astype(kind), generator), generator)
        starts = np.concatenate([[0], np.cumsum(self.groups)])
        windows = [
            np.concatenate([np.arange(starts[group], starts[group + 1]).astype(kind) for group in window])
            for window in self.windows(epoch)
        ]
        return np.concatenate([self._shuffled(window, generator) for window in windows])

    def windows(self, epoch: int) -> list[list[int]]:
        """The numbers of the row groups of each window of an epoch.

        >>> Order(rows=9, seed=7, groups=(3, 3, 3), window_rows=4).windows(epoch=0)
        [[0, 2], [1]]
        """
        numbers = self._shuffled(np.arange(len(self.groups)), np.random.default_rng([self.seed, epoch, 1]))
        windows: list[list[int]] = []
        rows = self.window_rows  # of the last window: at first as if one were full
        for group in map(int, numbers):
            if rows >= self.window_rows:
                windows.append([])
                rows = 0
            windows[-1].append(group)
            rows += self.groups[group]
        return windows

    def _again(self, places: Indices, epoch: int) -> Indices:
        """Which places fill up an epoch's last batch: those from its beginning, or from that of its last window."""
        first = 0
        if self.groups and places[-1] >= self.rows:
            first = self.rows - sum(self.groups[group] for group in self.windows(epoch)[-1])
        return first + places % (self.rows - first)

    def _side_by_side(self, permutation: Indices, generator: np.random.Generator) -> Indices:
        """The permutation with rows of like lengths side by side.

        The rows of POOL batches at a time are sorted by length and cut into batches anew, which come in random order;
        what fills no batch stays at the end.
        """
        if self.lengths is None:
            return permutation
        steps = np.log(np.maximum(self.lengths, 1)) // np.log(ALIKE)
        whole = len(permutation) - len(permutation) % self.together
        for start in range(0, whole, POOL * self.together):
            pool = permutation[start : min(start + POOL * self.together, whole)]  # a view
            batches = pool[np.argsort(steps[pool], kind="stable")].reshape(-1, self.together)
            pool[:] = generator.permutation(batches).ravel()
        return permutation

    def _shuffled(self, numbers: Indices, generator: np.random.Generator) -> Indices:
        if self.shuffle:
            generator.shuffle(numbers)
        return numbers

    def steps(self, batch: int) -> int:
        """Global batches of `batch` samples in an epoch; the last one may be padded."""
        return -(-self.rows // batch)

    def batches(
        self, position: Position, *, batch_size: int, rank: int = 0, ranks: int = 1
    ) -> Iterator[tuple[Indices, Position]]:
        """What one rank takes in each step from a position to the end of its epoch, and the position after the step.

        >>> order = Order(rows=5, shuffle=False)
        >>> [taken.tolist() for taken, _ in order.batches(Position(), batch_size=2, rank=0, ranks=2)]
        [[0, 2], [4, 1]]
        >>> [taken.tolist() for taken, _ in order.batches(Position(), batch_size=2, rank=1, ranks=2)]
        [[1, 3], [0, 2]]
        """
        whole = batch_size * ranks
        permutation = self.permutation(position.epoch)
        epoch = position.epoch
        while position.consumed < self.rows:
            places = np.arange(position.consumed + rank, position.consumed + whole, ranks)
            position = replace(position, consumed=position.consumed + whole)
            if position.consumed >= self.rows:
                position = Position(epoch=position.epoch + 1)
            yield permutation[np.where(places < self.rows, places, self._again(places, epoch))], position
            if position.consumed == 0:
                return
