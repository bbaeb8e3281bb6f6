"""What speaks for an item: each part's opinion of a user's candidates, on scales that parts and users share.

A user's candidates are the best items of every part. Of a part's scores the evidence takes how far an item stands above
the mean of the user's candidates, in standard deviations, and the logarithm of its place among them: so that a weight
means the same for a user with three interactions as for one with three thousand. Knows neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.recsys.part import Codes, Floats, Part, check_scores
from brightspark.recsys.top import best, hide

FURTHEST = 6.0  # standard deviations from the mean: what is further away says no more
KINDS = ("score", "place")
"""What a part gives of an item, in this order."""

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Candidates:
    """Pairs of a block's users and the items that may be recommended to them, by user."""

    users: int
    """Of the block."""
    rows: Rows
    """The user of each pair, ascending."""
    items: Rows
    """Its item, ascending within a user."""

    def __len__(self) -> int:
        return len(self.rows)


def ask(
    parts: Sequence[Part], histories: csr_matrix, users: Codes, hidden: NDArray[np.bool_] | None = None
) -> list[Floats]:
    """Each part's scores of a block, users × items, -inf for what a user has seen and for items `hidden` from all.

    Raises ModelError for a part whose scores are no numbers.
    """
    found = answers(parts, histories, users)
    for scores in found:
        hide(scores, histories)
        if hidden is not None:
            scores[:, hidden] = -np.inf
    return found


def answers(parts: Sequence[Part], histories: csr_matrix, users: Codes) -> list[Floats]:
    """The same with nothing hidden."""
    found = []
    for part in parts:
        scores = part.scores(histories, users)
        check_scores(scores, part.name)
        found.append(scores)
    return found


def candidates(opinions: Sequence[Floats], each: int) -> Candidates:
    """The `each` best items of every part, for every user, of those that are not hidden; of equal ones the first."""
    users, items = opinions[0].shape
    chosen = np.zeros((users, items + 1), dtype=bool)  # the last place is that of NOTHING
    for scores in opinions:
        np.put_along_axis(chosen, best(scores, each)[0], True, axis=1)
    rows, found = np.nonzero(chosen[:, :items])
    return Candidates(users, rows, found)


def evidence(opinions: Sequence[Floats], among: Candidates) -> Floats:
    """What all parts say of the candidates: a row each, and for every part a column for each of `KINDS`."""
    return compared(opinions, among, among.rows, [scores[among.rows, among.items] for scores in opinions])


def compared(opinions: Sequence[Floats], among: Candidates, rows: Rows, said: Sequence[Floats]) -> Floats:
    """The same of any pairs of the block, as they would stand among the candidates.

    `rows` are their users, ascending, and `said` each part's scores of them.
    """
    columns = []
    for scores, of in zip(opinions, said, strict=True):
        own = scores[among.rows, among.items]
        columns += [_above(own, of, among, rows), np.log1p(_places(own, of, among, rows))]
    found: Floats = np.stack(columns, axis=1).astype(np.float32)
    return found


def _above(own: Floats, of: Floats, among: Candidates, rows: Rows) -> Floats:
    """How many standard deviations above the mean of a user's candidates."""
    number = np.maximum(np.bincount(among.rows, minlength=among.users), 1)
    mean = np.bincount(among.rows, own, among.users) / number
    spread = np.sqrt(np.bincount(among.rows, (own - mean[among.rows]) ** 2, among.users) / number)
    spread[spread < 1e-6 * (1 + np.abs(mean))] = np.inf  # all alike: nothing is above the others
    found: Floats = np.clip((of - mean[rows]) / spread[rows], -FURTHEST, FURTHEST)
    return found


def _places(own: Floats, of: Floats, among: Candidates, rows: Rows) -> Rows:
    """How many of a user's candidates have a greater score."""
    order = np.lexsort((-own, among.rows))
    ordered = -own[order]  # by user, ascending
    starts = np.searchsorted(among.rows, np.arange(among.users + 1))
    bounds = np.searchsorted(rows, np.arange(among.users + 1))
    places = np.empty(len(rows), dtype=np.intp)
    for user in range(among.users):
        mine = slice(bounds[user], bounds[user + 1])
        places[mine] = np.searchsorted(ordered[starts[user] : starts[user + 1]], -of[mine])
    return places
