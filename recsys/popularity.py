"""What is popular, for everyone alike: what any other part has to beat. Knows neither Spark nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.recsys.part import Codes, Floats, check_matrix


@dataclass(frozen=True)
class PopularitySettings:
    """There is nothing to set."""


@dataclass(frozen=True)
class Popularity:
    """Items by how many users they have."""

    name: ClassVar[str] = "popularity"

    users: Floats
    """of each item"""

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return len(self.users)

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """The same row for each user."""
        return np.tile(self.users, (histories.shape[0], 1))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that was learned."""
        return {"users": self.users}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        return cls(users=tensors["users"])


def fit(matrix: csr_matrix, settings: PopularitySettings) -> Popularity:
    """Counts users; raises InputError for a matrix that cannot be learned from."""
    check_matrix(matrix)
    return Popularity(np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float32))


def memory_bytes(users: int, items: int, interactions: int, settings: PopularitySettings) -> int:
    """What `fit` needs beside the matrix."""
    return 12 * items + 10 * interactions
