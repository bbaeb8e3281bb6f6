"""Items whose features are like those that a user has: what can be said of items that nobody has rated.

Knows neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.recsys.part import Codes, Floats, check_matrix


@dataclass(frozen=True, kw_only=True)
class ContentSettings:
    """Nothing can be set."""


@dataclass(frozen=True)
class Content:
    """The mean of the features in a history, and how like it an item is: the cosine, but for the user's own length."""

    name: ClassVar[str] = "content"

    features: Floats
    """Items × features, each row of length 1; of an item of which nothing is known, 0."""

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return len(self.features)

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """The mean cosine to the items of the history; 0 without one."""
        counted = histories.astype(bool).astype(np.float32) @ self.features
        found: Floats = (
            counted / np.maximum(np.diff(histories.indptr), 1)[:, None].astype(np.float32)
        ) @ self.features.T
        return found

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that is known."""
        return {"features": self.features}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        return cls(features=tensors["features"])


def fit(matrix: csr_matrix, settings: ContentSettings, features: Floats) -> Content:
    """Takes each feature's mean over the items off, scales it by its spread, and each item's to length 1."""
    check_matrix(matrix)
    known = features.any(axis=1, keepdims=True)
    mean, spread = (how(features, axis=0, where=known) for how in (np.mean, np.std))
    scaled = (features - mean) / np.where(spread > 0, spread, 1) * known
    return Content(unit(scaled))


def unit(rows: Floats) -> Floats:
    """Each row at length 1; rows of nothing stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Floats = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found


def memory_bytes(users: int, items: int, interactions: int, settings: ContentSettings) -> int:
    """What `fit` needs beside the matrix and the features: nothing to speak of."""
    return 0
