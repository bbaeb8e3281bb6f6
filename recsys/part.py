"""What every collaborative part of a recommender has: scores for blocks of users. Knows neither Spark nor torch.

A part is learned from a sparse matrix of users × items by a function `fit(matrix, settings)` in one process, and is
nothing but arrays from then on. It scores users by what they have interacted with, so that a user who came after
training is answered like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError, MissingExtraError, ModelError

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]
UNKNOWN = -1  # the code of a user who took no part in training


class Part(Protocol):
    """A recommender that was learned from interactions."""

    name: ClassVar[str]

    @property
    def items(self) -> int:
        """Of the catalogue."""
        ...

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """How much each item suits each user of a block, dense: the more, the better, comparable within a user.

        `histories` has a row a user and a column an item, valued as the matrix that the part was learned from; the
        indices of a row stand in the order of the user's time, where it is known. `users` are their codes in that
        matrix, or UNKNOWN: then the history alone tells of them.
        """
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that was learned, as `from_tensors` takes it."""
        ...

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        ...


def check_matrix(matrix: csr_matrix) -> None:
    """Raises InputError where there is nothing to learn from, or a value that no trainer bears."""
    if not matrix.nnz:
        raise InputError(f"a matrix of {matrix.shape[0]:,} users × {matrix.shape[1]:,} items has no interactions")
    if not np.isfinite(matrix.data).all() or (matrix.data <= 0).any():
        raise InputError("interactions must be finite and above 0; brightspark.recsys.interactions sees to that")


def check_memory(what: str, needed: int, most: int, instead: str) -> None:
    """Raises InputError where a trainer would need more memory than it may take."""
    if needed > most:
        raise InputError(
            f"{what} needs about {needed / 2**30:.1f} GiB of memory in one process, more than the "
            f"{most / 2**30:.1f} GiB of max_bytes. {instead}"
        )


def check_scores(scores: Floats, name: str) -> None:
    """Raises ModelError where a part answered by what is no number."""
    if np.isnan(scores.max(initial=-np.inf)):  # which passes them on
        raise ModelError(f"{name} gave scores that are no numbers: it was learned from damaged or far too large values")


@contextmanager
def implicit_alone() -> Iterator[None]:
    """One BLAS thread while implicit trains: its own threads and those of BLAS would fight over the same cores.

    Raises MissingExtraError where implicit is not installed.
    """
    try:
        import implicit  # noqa: F401
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"this part needs {error.name}: pip install 'brightspark[recsys]'") from error
    with threadpool_limits(1, "blas"):
        yield
