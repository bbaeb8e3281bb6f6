"""How alike items are, by the vectors that parts have of them, and which of a history speak for an item.

Knows neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brightspark.recsys.content import Content, unit
from brightspark.recsys.ease import Ease
from brightspark.recsys.factors import Als, Bpr
from brightspark.recsys.part import Codes, Floats, Part
from brightspark.recsys.towers import Towers


def vectors(parts: Sequence[Part]) -> Floats:
    """A vector of length 1 an item: products of two are the mean cosine of those that parts have.

    Items × 1, all 0, where no part has any.
    """
    found = []
    for part in parts:
        if isinstance(part, Als):
            found.append(part.item_factors)
        elif isinstance(part, Bpr):
            found.append(part.item_factors[:, :-1])  # the last is the item's bias
        elif isinstance(part, Towers):
            found.append(part.item_vectors)
        elif isinstance(part, Content):
            found.append(part.features)
    if not found:
        return np.zeros((parts[0].items, 1), dtype=np.float32)
    return unit(np.concatenate([unit(each) for each in found], axis=1))


def support(parts: Sequence[Part], known: Floats, history: Codes, item: int) -> Floats:
    """How much each item of a history speaks for an item: EASE's weight, or else the likeness of their vectors."""
    for part in parts:
        if isinstance(part, Ease):  # and Cease
            weights: Floats = part.weights[history, item]
            return weights
    found: Floats = known[history] @ known[item]
    return found


def diverse(items: Codes, scores: Floats, known: Floats, k: int, diversity: float) -> Codes:
    """Places of k of the items, the best first: each the one that is best and least like those before it.

    Maximal marginal relevance (Carbonell and Goldstein 1998, SIGIR): (1 - diversity) × score - diversity × the largest
    likeness, with the scores scaled from 0 to 1.
    """
    spread = float(scores[0] - scores[-1]) or 1.0
    relevance = (scores - scores[-1]) / spread
    alike = np.zeros(len(items), dtype=np.float32)
    left = np.ones(len(items), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(k, len(items))):
        worth = np.where(left, (1 - diversity) * relevance - diversity * alike, -np.inf)
        place = int(worth.argmax())
        chosen.append(place)
        left[place] = False
        alike = np.maximum(alike, known[items] @ known[items[place]])
    return np.array(chosen, dtype=np.int32)
