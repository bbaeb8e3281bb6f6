"""The weights by which a hybrid believes its parts, learned from what users turned to. Knows neither Spark nor torch.

A pair's score is its evidence times the weights. They are those under which the items that were held back from a user
are likeliest among his candidates (the softmax over the list, "ListNet"; Cao et al. 2007, ICML), each user counting the
same, as in the metrics. With so few weights the likelihood has one maximum, which L-BFGS finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError
from brightspark.recsys.evidence import Candidates
from brightspark.recsys.part import Floats

PENALTY = 1e-3  # on the squares of weights: parts that say the same share theirs


@dataclass(frozen=True)
class Lesson:
    """Candidates of users, what speaks for them, and which of them were held back."""

    candidates: Candidates
    evidence: Floats
    held_back: NDArray[np.bool_]
    """Of each pair."""


def lesson(candidates: Candidates, evidence: Floats, truth: csr_matrix) -> Lesson:
    """Candidates with the truth, a row a user of the block, of those users who have some of it among them."""
    found = np.asarray(truth[candidates.rows, candidates.items]).ravel() > 0
    taught = np.bincount(candidates.rows, found, candidates.users) > 0
    kept = taught[candidates.rows]
    numbers = np.cumsum(taught) - 1
    pairs = Candidates(int(taught.sum()), numbers[candidates.rows[kept]], candidates.items[kept])
    return Lesson(pairs, evidence[kept], found[kept])


def learn(lessons: Sequence[Lesson]) -> Floats:
    """A weight for each column of the evidence.

    Raises InputError where no held-back item is among any candidates: there is nothing to learn from.
    """
    users = sum(one.candidates.users for one in lessons)
    if not users:
        raise InputError(
            "no held-back item is among the candidates of its user: there are too few interactions to learn from how "
            "the parts go together; leave the re-ranking out, or learn from more"
        )
    rows = np.concatenate([one.candidates.rows + start for one, start in zip(lessons, _starts(lessons), strict=True)])
    evidence = np.concatenate([one.evidence for one in lessons])
    truth = np.concatenate([one.held_back for one in lessons]).astype(np.float64)
    truth /= np.bincount(rows, truth, users)[rows]  # each user's sum to 1
    first = np.searchsorted(rows, np.arange(users))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = (evidence @ weights.astype(np.float32)).astype(np.float64)
        scores -= np.maximum.reduceat(scores, first)[rows]
        odds = np.exp(scores)
        total = np.bincount(rows, odds, users)
        likelihood = float((truth * (scores - np.log(total)[rows])).sum())
        residual = (odds / total[rows] - truth).astype(np.float32)
        gradient = (residual @ evidence).astype(np.float64) / users + PENALTY * weights
        return -likelihood / users + PENALTY / 2 * float(weights @ weights), gradient

    found = minimize(loss, np.zeros(evidence.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    weights: Floats = found.x.astype(np.float32)
    return weights


def _starts(lessons: Sequence[Lesson]) -> NDArray[np.int64]:
    sizes = np.array([one.candidates.users for one in lessons], dtype=np.int64)
    starts: NDArray[np.int64] = np.cumsum(sizes) - sizes
    return starts
