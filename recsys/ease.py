"""EASE, a linear model of items by items in closed form (Steck 2019, https://arxiv.org/abs/1905.03375).

With the matrix X of users × items, P = (XᵀX + l2·I)⁻¹ and B = I − P·diag(P)⁻¹, whose diagonal is 0: an item is never
its own reason. A user with history x has the scores xB. For catalogues of up to a few ten thousand items it is hard to
beat, and it needs no iterations; its memory grows with items² and its time with items³. Knows neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csc_matrix, csr_matrix

from brightspark.core.errors import InputError, SettingError
from brightspark.recsys.part import Codes, Floats, check_matrix, check_memory

BLOCK_BYTES = 64 << 20  # of columns of XᵀX that are made at once
INSTEAD = (
    "Give it more by max_bytes where the machine has it, leave out items with few interactions, or learn factors (als) "
    "or neighbours, which grow with the items and not with their square"
)


@dataclass(frozen=True, kw_only=True)
class EaseSettings:
    """How EASE is learned."""

    l2: Annotated[float, "how strongly weights are held small; more for sparse data, tens to thousands"] = 500.0
    max_bytes: Annotated[int, "memory that the trainer may take; items² × 4 bytes and a little"] = 8 << 30

    def __post_init__(self) -> None:
        if not self.l2 > 0:
            raise SettingError(f"l2={self.l2} must be above 0")


@dataclass(frozen=True)
class Ease:
    """Weights of items by items."""

    name: ClassVar[str] = "ease"

    weights: Floats
    """How much an item of a history (row) speaks for another (column)."""

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return len(self.weights)

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """What the items of each history say together."""
        found: Floats = histories.astype(np.float32) @ self.weights
        return found

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that was learned."""
        return {"weights": self.weights}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        return cls(weights=tensors["weights"])


def fit(matrix: csr_matrix, settings: EaseSettings) -> Ease:
    """Learns the weights in float32, in one array of items × items that is made, inverted and scaled in place.

    Raises InputError where that would take more than `max_bytes`, where the matrix cannot be learned from, and where it
    cannot be inverted, which a larger `l2` mends.
    """
    check_matrix(matrix)
    return solve(matrix, settings)


def solve(matrix: csr_matrix, settings: EaseSettings) -> Ease:
    """`fit` for a matrix that may hold values of any sign."""
    users, items = matrix.shape
    needed = memory_bytes(users, items, matrix.nnz, settings)
    check_memory(f"EASE of {items:,} items", needed, settings.max_bytes, INSTEAD)
    weights = _gram(matrix.tocsc(), settings.l2)
    _invert(weights, settings.l2)
    # B = I − P·diag(P)⁻¹: each column by its own place on the diagonal, and nothing on it.
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, 0)
    return Ease(weights)


def memory_bytes(users: int, items: int, interactions: int, settings: EaseSettings) -> int:
    """What `fit` needs beside the matrix: one dense array, a block of XᵀX, and the matrix by columns."""
    return 4 * items * items + 3 * BLOCK_BYTES + 8 * interactions


def _gram(matrix: csc_matrix, l2: float) -> Floats:
    """XᵀX + l2·I, dense, a block of columns at a time: as a sparse matrix it could take twice as much."""
    items = matrix.shape[1]
    gram = np.empty((items, items), dtype=np.float32)
    transposed = matrix.T.tocsr().astype(np.float32)
    width = max(1, BLOCK_BYTES // (8 * items))
    for start in range(0, items, width):
        # XᵀX is symmetric: its rows are its columns.
        gram[start : start + width] = (transposed[start : start + width] @ matrix).toarray()
    gram[np.diag_indices(items)] += np.float32(l2)
    return gram


def _invert(gram: Floats, l2: float) -> None:
    """Inverts a symmetric positive matrix in place, by Cholesky."""
    columns = gram.T  # what LAPACK takes without a copy
    _, failed = lapack.spotrf(columns, lower=True, overwrite_a=True, clean=False)
    if not failed:
        _, failed = lapack.spotri(columns, lower=True, overwrite_c=True)
    if failed:
        raise InputError(f"EASE cannot be solved with l2={l2} in float32: set a larger l2")
    _mirror(columns)


def _mirror(matrix: Floats) -> None:
    """Copies the lower half over the upper one, in blocks of rows."""
    size = len(matrix)
    width = max(1, BLOCK_BYTES // (4 * size))
    for start in range(0, size, width):
        end = min(size, start + width)
        matrix[start:end, end:] = matrix[end:, start:end].T
        block = matrix[start:end, start:end]
        upper = np.triu_indices(end - start, 1)
        block[upper] = block.T[upper]
