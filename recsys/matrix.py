"""Staged interactions as one sparse matrix in this process. Knows neither Spark nor torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError
from brightspark.recsys.staged import StagedInteractions

BYTES_PER_INTERACTION = 56  # at most, while the matrix is made, or put in the order of time
MAX_BYTES = 8 << 30
LARGEST = 2**31 - 1  # what scipy and implicit number in 32 bits


def matrix_bytes(users: int, interactions: int) -> int:
    """The memory that `read_matrix` takes at its most; the matrix itself then has 8 bytes an interaction."""
    return BYTES_PER_INTERACTION * interactions + 16 * users


def read_matrix(staged: StagedInteractions, *, binary: bool = False, max_bytes: int = MAX_BYTES) -> csr_matrix:
    """Users × items with the ratings (float32), or with 1 for every interaction.

    Raises InputError before anything is read where it would take more than `max_bytes` of memory, or where there are
    more interactions than 32 bits number.
    """
    columns = ["user", "item"] if binary else ["user", "item", "rating"]
    table = _table(staged, columns, max_bytes)
    values = np.ones(table.num_rows, dtype=np.float32) if binary else table.column("rating").to_numpy()
    return _matrix(table, values, staged.shape)


@dataclass(frozen=True)
class Timed:
    """Interactions with what was staged of each: numbers in the order of the matrix's data."""

    matrix: csr_matrix
    """Users × items with 1 for every interaction."""
    folds: NDArray[np.int32]
    """The fold that each falls into."""
    places: NDArray[np.int32]
    """Its place in its user's time, from 1; 0 where it has no moment."""

    def part(self, chosen: NDArray[np.bool_]) -> csr_matrix:
        """The matrix of some of the interactions."""
        return self._of(np.ones(len(chosen), dtype=np.float32), chosen)

    def part_places(self, chosen: NDArray[np.bool_]) -> csr_matrix | None:
        """Users × items with the places of some of the interactions; None where none has any."""
        return self._of(self.places.astype(np.float32), chosen) if self.places.any() else None

    def in_time(self, chosen: NDArray[np.bool_]) -> csr_matrix:
        """The matrix of some of the interactions, whose rows stand in the order of the users' time."""
        if not self.places.any():
            return self.part(chosen)
        rows = np.repeat(np.arange(self.matrix.shape[0], dtype=np.int32), np.diff(self.matrix.indptr))[chosen]
        items = self.matrix.indices[chosen]
        return _in_order(rows, items, self.places[chosen], self.matrix.shape)

    def _of(self, values: NDArray[np.float32], chosen: NDArray[np.bool_]) -> csr_matrix:
        kept = csr_matrix((np.where(chosen, values, 0), self.matrix.indices, self.matrix.indptr), self.matrix.shape)
        kept = kept.copy()  # of the indices, which are the matrix's own
        kept.eliminate_zeros()
        return kept


def in_time(matrix: csr_matrix, places: csr_matrix) -> csr_matrix:
    """Which interactions there are, each row in the order of their places; those without one come first, by item."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    at = np.asarray(places.tocsr()[rows, matrix.indices]).ravel()
    return _in_order(rows, matrix.indices, at, matrix.shape)


def _in_order(rows: NDArray[Any], items: NDArray[Any], places: NDArray[Any], shape: tuple[int, int]) -> csr_matrix:
    """Users × items with 1 for each pair; those of a row by their places, and where these are the same by item."""
    order = np.lexsort((items, places, rows))
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return csr_matrix((np.ones(len(items), dtype=np.float32), items[order], ends), shape=shape)


def read_timed(staged: StagedInteractions, *, max_bytes: int = MAX_BYTES) -> Timed:
    """The matrix with the folds and the places of its interactions, which must have been staged.

    Raises InputError as `read_matrix`.
    """
    table = _table(staged, ["user", "item", "fold", "place"], max_bytes)
    matrix = _matrix(table, np.arange(1, table.num_rows + 1), staged.shape, np.int64)
    order = matrix.data - 1
    folds, places = (table.column(name).to_numpy()[order].astype(np.int32) for name in ("fold", "place"))
    ones = csr_matrix((np.ones(len(order), dtype=np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)
    return Timed(ones, folds, places)


def _table(staged: StagedInteractions, columns: list[str], max_bytes: int) -> pa.Table:
    users, _ = staged.shape
    rows = len(staged.interactions)
    needed = matrix_bytes(users, rows)
    if needed > max_bytes or rows > LARGEST:
        raise InputError(
            f"{rows:,} interactions take about {needed / 2**30:.1f} GiB of memory in one process, which may have "
            f"{max_bytes / 2**30:.1f} GiB (max_bytes), and no more than {LARGEST:,} of them: give it more where the "
            "machine has it, learn from fewer, such as the latest ones, or by Spark: parts=('spark_als',)"
        )
    return staged.interactions.table(columns)


def _matrix(table: pa.Table, values: NDArray[Any], shape: tuple[int, int], kind: Any = np.float32) -> csr_matrix:
    user, item = (table.column(name).to_numpy() for name in ("user", "item"))
    matrix = csr_matrix((values, (user, item)), shape=shape, dtype=kind)
    matrix.sort_indices()
    return matrix
