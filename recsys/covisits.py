"""Items that users turn to soon after one another: co-visits, the neighbours in time. Knows neither Spark nor torch.

Each pair of items that stand at most `window` places apart in a user's time counts, the nearer the more; the counts of
two items are divided by the square root of the product of theirs with all items, as the cosine of Sarwar et al. 2001
(https://doi.org/10.1145/371920.372071) is. Whether the one or the other came first makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from brightspark.core.errors import SettingError
from brightspark.recsys.neighbours import INSTEAD, Neighbours
from brightspark.recsys.part import check_matrix, check_memory

SHRINKING = 2.0  # counts of nothing, that each item has: a single user says little


@dataclass(frozen=True, kw_only=True)
class CovisitSettings:
    """How co-visits are counted."""

    window: Annotated[int, "places between two items of a user, at most"] = 5
    neighbours: Annotated[int, "kept of each item"] = 500
    max_bytes: Annotated[int, "memory that the trainer may take"] = 8 << 30

    def __post_init__(self) -> None:
        if self.window < 1 or self.neighbours < 1:
            raise SettingError(f"window={self.window}, neighbours={self.neighbours} must both be at least 1")


@dataclass(frozen=True)
class Covisits(Neighbours):
    """Similarities of items to their nearest in time."""

    name: ClassVar[str] = "covisits"


def fit(matrix: csr_matrix, settings: CovisitSettings, places: csr_matrix) -> Covisits:
    """Counts; `places` are the interactions of the matrix with their places in each user's time, from 1.

    Interactions of the same moment stand in the order of their items, and those without a place beside nothing. Raises
    InputError where the matrix cannot be learned from, or would take more than `max_bytes`.
    """
    check_matrix(matrix)
    users, items = matrix.shape
    needed = memory_bytes(users, items, matrix.nnz, settings)
    check_memory(f"co-visits of {items:,} items", needed, settings.max_bytes, INSTEAD)
    found = places.tocoo()
    user, item, place = (each[found.data > 0] for each in (found.row, found.col, found.data))
    order = np.lexsort((item, place, user))
    user, item = user[order], item[order]
    counts = csr_matrix((items, items), dtype=np.float32)
    for apart in range(1, settings.window + 1):
        same = user[apart:] == user[:-apart]
        one, other = item[:-apart][same], item[apart:][same]
        weight = np.full(len(one), np.exp(-2 * (apart - 1) / settings.window), dtype=np.float32)
        counts = counts + csr_matrix((weight, (one, other)), shape=(items, items))
    counts = (counts + counts.T).tocsr()
    counts.setdiag(0)  # the same item twice in a row is no pair
    counts.eliminate_zeros()
    scale = 1 / np.sqrt(np.asarray(counts.sum(axis=1)).ravel() + SHRINKING)
    counts.data *= (scale[np.repeat(np.arange(items), np.diff(counts.indptr))] * scale[counts.indices]).astype(
        np.float32
    )
    return Covisits(nearest(counts, settings.neighbours))


def memory_bytes(users: int, items: int, interactions: int, settings: CovisitSettings) -> int:
    """What `fit` needs beside the matrix: sorted interactions, and pairs, both ways, while they are added up."""
    return 40 * interactions + 48 * settings.window * interactions


def nearest(similarity: csr_matrix, kept: int) -> csr_matrix:
    """The largest values of each row; of equal ones those of the first columns."""
    lengths = np.diff(similarity.indptr)
    if not len(lengths) or lengths.max() <= kept:
        return similarity
    rows = np.repeat(np.arange(similarity.shape[0]), lengths)
    order = np.lexsort((similarity.indices, -similarity.data, rows))
    place = np.arange(len(rows)) - np.repeat(similarity.indptr[:-1], lengths)
    chosen = order[place < kept]
    data, columns = similarity.data[chosen], similarity.indices[chosen]
    found = csr_matrix((data, (rows[chosen], columns)), shape=similarity.shape, dtype=np.float32)
    found.sort_indices()
    return found
