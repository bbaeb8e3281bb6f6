"""EASE that knows the items' features too (CEASE; Jeunen, Van Balen and Goethals 2020, RecSys).

Each feature stands below the users as one more user, who has the items that have it, and weighs more than a real one.
So items that few users share speak for each other where they are alike, and an item that nobody has rated is
recommended by its features. Knows neither Spark nor torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from brightspark.core.errors import SettingError
from brightspark.recsys import ease
from brightspark.recsys.ease import Ease, EaseSettings
from brightspark.recsys.part import Floats, check_matrix

KNOTS = 12  # of a number: it becomes so many features, of which two neighbours share it
MOST_NUMBERS = 64  # features that are numbers; of more, such as embeddings, each stays what it is


@dataclass(frozen=True, kw_only=True)
class CeaseSettings(EaseSettings):
    """How CEASE is learned."""

    feature_weight: Annotated[float, "how much more than a user's interaction an item's feature weighs, squared"] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.feature_weight > 0:
            raise SettingError(f"feature_weight={self.feature_weight} must be above 0")


@dataclass(frozen=True)
class Cease(Ease):
    """Weights of items by items."""

    name: ClassVar[str] = "cease"


def fit(matrix: csr_matrix, settings: CeaseSettings, features: Floats) -> Cease:
    """As `brightspark.recsys.ease.fit`, with the items' features (items × features)."""
    check_matrix(matrix)
    further = csr_matrix(spread_out(features).T) * np.float32(settings.feature_weight)
    return Cease(ease.solve(vstack([matrix, further]).tocsr(), settings).weights)


def memory_bytes(users: int, items: int, interactions: int, settings: CeaseSettings) -> int:
    """What `fit` needs beside the matrix: as EASE, and the matrix once more."""
    return ease.memory_bytes(users, items, interactions, settings) + 8 * interactions


def spread_out(features: Floats) -> Floats:
    """Numbers as features that are there or not: which of KNOTS quantiles a number lies next to, and how near.

    What is 0 or 1 already stays.
    """
    numbers = np.asarray(((features != 0) & (features != 1)).any(axis=0))
    if not 0 < numbers.sum() <= MOST_NUMBERS:
        return features
    known = np.asarray(features.any(axis=1))
    columns: list[NDArray[Any]] = [features[:, ~numbers]]
    for place in np.flatnonzero(numbers):
        values = features[:, place]
        knots = np.unique(np.quantile(values[known], np.linspace(0, 1, KNOTS)))
        near = np.stack([np.interp(values, knots, one) for one in np.eye(len(knots))], axis=1)
        columns.append(near * known[:, None])
    found: Floats = np.concatenate(columns, axis=1).astype(np.float32)
    return found
