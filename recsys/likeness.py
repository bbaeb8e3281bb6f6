"""How alike items are, by the vectors that parts have of them, and which of a history speak for an item.

Knows neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brightspark.recsys import nearest
from brightspark.recsys.content import Content
from brightspark.recsys.ease import Ease
from brightspark.recsys.factors import Als, Bpr
from brightspark.recsys.part import Codes, Floats, Part
from brightspark.recsys.towers import Towers


@dataclass(frozen=True)
class Likeness:
    """The cosine of what all parts that have vectors of items say, each of which counts alike.

    The vectors stay where they are, in files that all processes share: only those that are asked for are copied.
    """

    tables: Sequence[Floats]
    """Items × dimensions, of each part."""
    scales: Sequence[Floats]
    """By which a part's vector is multiplied, so that an item's vectors behind each other have length 1."""

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Self:
        """By the vectors of those parts that have some; where none has, nothing is like anything."""
        tables = [table for table in map(_vectors, parts) if table is not None]
        if not tables:
            items = parts[0].items
            return cls([np.zeros((items, 1), dtype=np.float32)], [np.zeros(items, dtype=np.float32)])
        lengths = [np.sqrt(np.einsum("ij,ij->i", table, table)) for table in tables]  # without a copy of the table
        speaking = np.sqrt(np.maximum(np.sum([length > 0 for length in lengths], axis=0), 1))
        scales = [np.where(length > 0, 1 / np.where(length > 0, length, 1), 0) / speaking for length in lengths]
        return cls(tables, [scale.astype(np.float32) for scale in scales])

    @property
    def dimensions(self) -> int:
        """Of the vectors together."""
        return sum(table.shape[1] for table in self.tables)

    def vectors(self, items: Codes | slice) -> Floats:
        """Of some items, at length 1, or 0 where nothing is known of one: products of two are cosines."""
        found = [table[items] * scale[items, None] for table, scale in zip(self.tables, self.scales, strict=True)]
        return np.concatenate(found, axis=1)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether anything is known of each item."""
        found: NDArray[np.bool_] = np.logical_or.reduce([scale > 0 for scale in self.scales])
        return found

    def between(self, some: Codes, others: Codes) -> Floats:
        """The cosines, some × others."""
        found: Floats = self.vectors(some) @ self.vectors(others).T
        return found

    def to_all(self, some: Codes) -> Floats:
        """The cosines to all items."""
        found: Floats = np.zeros((len(some), len(self.scales[0])), dtype=np.float32)
        for table, scale in zip(self.tables, self.scales, strict=True):
            found += ((table[some] * scale[some, None]) @ table.T) * scale
        return found


def write_index(parts: Sequence[Part], folder: Path, max_bytes: int, say: Callable[[str], None]) -> None:
    """An index of the items, where they are many and some part has vectors of them; `say` hears what becomes of it."""
    items = parts[0].items
    if items <= nearest.FEWEST_ITEMS or all(_vectors(part) is None for part in parts):
        return
    known = Likeness.of(parts)
    needed = 2 * nearest.index_bytes(items, known.dimensions)
    if needed > max_bytes:
        say(f"no index of {items:,} items: it takes about {needed / 2**30:.1f} GiB, more than max_bytes")
        return
    say(f"making an index of {items:,} items")
    nearest.build(items, known.dimensions, known.vectors, folder / nearest.FILE)


def _vectors(part: Part) -> Floats | None:
    if isinstance(part, Als):
        return part.item_factors
    if isinstance(part, Bpr):
        return part.item_factors[:, :-1]  # the last is the item's bias
    if isinstance(part, Towers):
        return part.item_vectors
    if isinstance(part, Content):
        return part.features
    return None


def support(parts: Sequence[Part], likeness: Likeness, history: Codes, items: Codes) -> Floats:
    """How much each item of a history speaks for each item, history × items: EASE's weight, or else their likeness."""
    for part in parts:
        if isinstance(part, Ease):  # and Cease
            weights: Floats = part.weights[np.ix_(history, items)]
            return weights
    return likeness.between(history, items)


def diverse(scores: Floats, vectors: Floats, k: int, diversity: float) -> Codes:
    """Places of k of some items, the best first: each the one that is best and least like those before it.

    Maximal marginal relevance (Carbonell and Goldstein 1998, SIGIR): (1 - diversity) × score - diversity × the largest
    likeness, with the scores scaled from 0 to 1. Scores descend, and products of the vectors are likenesses.
    """
    spread = float(scores[0] - scores[-1]) or 1.0
    relevance = (scores - scores[-1]) / spread
    alike = np.zeros(len(scores), dtype=np.float32)
    left = np.ones(len(scores), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(k, len(scores))):
        worth = np.where(left, (1 - diversity) * relevance - diversity * alike, -np.inf)
        place = int(worth.argmax())
        chosen.append(place)
        left[place] = False
        alike = np.maximum(alike, vectors @ vectors[place])
    return np.array(chosen, dtype=np.int32)
