"""In which order a training sees the rows: a permutation by seed and epoch, whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer]


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

    A last global batch that is not full is padded with the first rows of the same permutation, so that all ranks take
    equally many steps of equal size: an epoch repeats at most `ranks * batch_size - 1` rows.
    """

    rows: int
    seed: int = 0
    shuffle: bool = True

    def permutation(self, epoch: int) -> Indices:
        """The epoch's order: 4 bytes a row below 2^32 rows.

        >>> Order(rows=5, seed=7).permutation(epoch=0), Order(rows=5, seed=7).permutation(epoch=1)
        (array([0, 4, 2, 3, 1], dtype=uint32), array([2, 4, 3, 0, 1], dtype=uint32))
        """
        order: Indices = np.arange(self.rows).astype(np.uint32 if self.rows < 2**32 else np.uint64)
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        return order

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
        while position.consumed < self.rows:
            places = np.arange(position.consumed + rank, position.consumed + whole, ranks)
            position = replace(position, consumed=position.consumed + whole)
            if position.consumed >= self.rows:
                position = Position(epoch=position.epoch + 1)
            yield permutation[places % self.rows], position
            if position.consumed == 0:
                return
