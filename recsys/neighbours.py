"""Item neighbours by implicit: what the same users have, with a similarity each. Knows neither Spark nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import SettingError, did_you_mean
from brightspark.recsys.part import Codes, Floats, check_matrix, check_memory, implicit_alone

WEIGHTS = ("cosine", "tfidf", "bm25")
INSTEAD = "Give it more by max_bytes where the machine has it, or set fewer neighbours"


@dataclass(frozen=True, kw_only=True)
class NeighbourSettings:
    """How neighbours are found."""

    weight: Annotated[str, "what users' interactions weigh: cosine (all alike), tfidf or bm25 (less of busy users)"] = (
        "bm25"
    )
    neighbours: Annotated[int, "kept of each item, itself among them"] = 100
    k1: Annotated[float, "bm25: from how many interactions on a further one adds little"] = 1.2
    b: Annotated[float, "bm25: how much an item's popularity is held against it, 0 to 1"] = 0.25
    threads: Annotated[int, "0 for as many as there are cores"] = 0
    max_bytes: Annotated[int, "memory that the trainer may take"] = 8 << 30

    def __post_init__(self) -> None:
        if self.weight not in WEIGHTS:
            raise SettingError(f"weight={self.weight!r} is unknown; {did_you_mean(self.weight, WEIGHTS)}")
        if self.neighbours < 1 or self.k1 < 0 or not 0 <= self.b <= 1:
            raise SettingError(
                f"neighbours={self.neighbours}, k1={self.k1}, b={self.b}: want neighbours ≥ 1, k1 ≥ 0, b from 0 to 1"
            )


@dataclass(frozen=True)
class Neighbours:
    """Similarities of items to their nearest."""

    name: ClassVar[str] = "neighbours"

    similarity: csr_matrix
    """A row an item, with its neighbours."""

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return int(self.similarity.shape[0])

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """The similarities to the items of each history, added up."""
        found: Floats = (histories.astype(np.float32) @ self.similarity).toarray()
        return found

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that was learned."""
        return {name: getattr(self.similarity, name) for name in ("data", "indices", "indptr")}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        items = len(tensors["indptr"]) - 1
        parts = (tensors["data"], tensors["indices"], tensors["indptr"])
        return cls(csr_matrix(parts, shape=(items, items)))


def fit(matrix: csr_matrix, settings: NeighbourSettings) -> Neighbours:
    """Finds the neighbours, as implicit's CosineRecommender, TFIDFRecommender and BM25Recommender do.

    Raises InputError where the matrix cannot be learned from, or would take more than `max_bytes`; MissingExtraError
    without implicit.
    """
    check_matrix(matrix)
    users, items = matrix.shape
    needed = memory_bytes(users, items, matrix.nnz, settings)
    check_memory(f"{settings.neighbours:,} neighbours of {items:,} items", needed, settings.max_bytes, INSTEAD)
    with implicit_alone():
        from implicit.nearest_neighbours import ItemItemRecommender

        model = ItemItemRecommender(K=settings.neighbours, num_threads=settings.threads)
        model.fit(_weighted(matrix, settings), show_progress=False)
    found = csr_matrix(model.similarity, dtype=np.float32)
    found.data = np.nan_to_num(found.data)  # of an item whose weights are all 0, similar to nothing
    found.eliminate_zeros()
    return Neighbours(found)


def memory_bytes(users: int, items: int, interactions: int, settings: NeighbourSettings) -> int:
    """What `fit` needs beside the matrix: implicit's weighted copies of it, and the neighbours twice."""
    return 24 * interactions + 28 * items * min(settings.neighbours, items)


def _weighted(matrix: csr_matrix, settings: NeighbourSettings) -> csr_matrix:
    from implicit.nearest_neighbours import bm25_weight, normalize, tfidf_weight

    by_item = matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        if settings.weight == "bm25":
            by_item = bm25_weight(by_item, settings.k1, settings.b)
        else:
            by_item = normalize(tfidf_weight(by_item) if settings.weight == "tfidf" else by_item)
    return by_item.T.tocsr()
