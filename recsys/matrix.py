"""Staged interactions as one sparse matrix in this process. Knows neither Spark nor torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError
from brightspark.recsys.staged import StagedInteractions

BYTES_PER_INTERACTION = 40  # at most, while the matrix is made
MAX_BYTES = 8 << 30
_LARGEST = 2**31 - 1  # what scipy and implicit number in 32 bits


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


def read_folds(staged: StagedInteractions, *, max_bytes: int = MAX_BYTES) -> tuple[csr_matrix, NDArray[np.int32]]:
    """The matrix with 1 for every interaction, and the fold of each, in the order of the matrix's data.

    Wants the column `fold` among the interactions. Raises InputError as `read_matrix`.
    """
    table = _table(staged, ["user", "item", "fold"], max_bytes)
    # What is 0 would be no interaction: folds from -1 on become numbers from 1 on.
    matrix = _matrix(table, table.column("fold").to_numpy().astype(np.float32) + 2, staged.shape)
    folds = matrix.data.astype(np.int32) - 2
    matrix.data[:] = 1
    return matrix, folds


def _table(staged: StagedInteractions, columns: list[str], max_bytes: int) -> pa.Table:
    users, _ = staged.shape
    rows = len(staged.interactions)
    needed = matrix_bytes(users, rows)
    if needed > max_bytes or rows > _LARGEST:
        raise InputError(
            f"{rows:,} interactions take about {needed / 2**30:.1f} GiB of memory in one process, which may have "
            f"{max_bytes / 2**30:.1f} GiB (max_bytes), and no more than {_LARGEST:,} of them: give it more where the "
            "machine has it, or learn from fewer, such as the latest ones"
        )
    return staged.interactions.table(columns)


def _matrix(table: pa.Table, values: NDArray[Any], shape: tuple[int, int]) -> csr_matrix:
    user, item = (table.column(name).to_numpy() for name in ("user", "item"))
    matrix = csr_matrix((values, (user, item)), shape=shape, dtype=np.float32)
    matrix.sort_indices()
    return matrix
