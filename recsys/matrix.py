"""Staged interactions as one sparse matrix in this process. Knows neither Spark nor torch."""

from __future__ import annotations

import numpy as np
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
    users, items = staged.shape
    rows = len(staged.interactions)
    needed = matrix_bytes(users, rows)
    if needed > max_bytes or rows > _LARGEST:
        raise InputError(
            f"{rows:,} interactions take about {needed / 2**30:.1f} GiB of memory in one process, which may have "
            f"{max_bytes / 2**30:.1f} GiB (max_bytes), and no more than {_LARGEST:,} of them: give it more where the "
            "machine has it, or learn from fewer, such as the latest ones"
        )
    columns = ["user", "item"] if binary else ["user", "item", "rating"]
    table = staged.interactions.table(columns)
    user, item = (table.column(name).to_numpy() for name in ("user", "item"))
    values = np.ones(rows, dtype=np.float32) if binary else table.column("rating").to_numpy()
    matrix = csr_matrix((values, (user, item)), shape=(users, items), dtype=np.float32)
    matrix.sort_indices()
    return matrix
