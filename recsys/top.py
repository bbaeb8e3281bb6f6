"""The best items of many users, a block of users at a time. Knows neither Spark nor torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError, SettingError
from brightspark.recsys.part import UNKNOWN, Codes, Floats, Part, check_scores

BLOCK_BYTES = 64 << 20  # of a block's scores; a few times as much is held while its best are found
NOTHING = -1  # in the place of an item where a user has no more to be recommended
FEWEST_GROUPS = 4  # for each of the k best, into which a row falls: with fewer, too many would be hopeful
FEWEST_MEMBERS = 4  # of a group: with fewer, looking at groups saves nothing


@dataclass(frozen=True)
class Best:
    """The best items of some users, a row each, the best first."""

    users: Codes
    """Rows of the histories."""
    items: Codes
    """`NOTHING` where there is none: a user has seen everything, or the catalogue is smaller than k."""
    scores: Floats
    """-inf where there is no item."""


def recommend(
    part: Part, histories: csr_matrix, k: int, *, users: Codes | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[Best]:
    """The k best items for each row of the histories, without those in the row itself, in blocks of rows.

    `users` are the rows' codes in training, UNKNOWN for users who took no part; by default all are unknown, and told by
    their histories alone. Items of equal score go by their code. Memory is a few times `block_bytes`, whatever the
    number of users, and at least a few rows of the catalogue.

    Raises SettingError for a k below 1, InputError where histories and part have different items, ModelError where the
    part gives scores that are no numbers.
    """
    if k < 1:
        raise SettingError(f"k={k} must be at least 1")
    rows, items = histories.shape
    if items != part.items:
        raise InputError(f"the histories are of {items:,} items, {part.name} was learned from {part.items:,}")
    known = np.full(rows, UNKNOWN, dtype=np.int32) if users is None else users
    if len(known) != rows:
        raise InputError(f"there are {len(known):,} users for {rows:,} histories: want one each")
    width = max(1, block_bytes // (4 * max(1, items)))
    for start in range(0, rows, width):
        block = histories[start : start + width]
        scores = part.scores(block, known[start : start + width])
        check_scores(scores, part.name)
        hide(scores, block)
        numbers = np.arange(start, start + block.shape[0], dtype=np.int32)
        yield Best(numbers, *best(scores, k))


def best(scores: Floats, k: int) -> tuple[Codes, Floats]:
    """The k best items of each row and their scores, the best first, items of equal score by their number.

    What is -inf is no item: its place has `NOTHING` and -inf.

    A row falls into groups, of which most are ruled out by their best item alone: one pass over the scores, where a
    partition takes many.

    >>> items, _ = best(np.array([[1, 3, 3, 2]], dtype=np.float32), 3)
    >>> items.tolist()
    [[1, 2, 3]]
    """
    rows, items = scores.shape
    found = np.full((rows, k), NOTHING, dtype=np.int32)
    said = np.full((rows, k), -np.inf, dtype=np.float32)
    groups = max(FEWEST_GROUPS * k, int(np.sqrt(items * k)))
    if groups * FEWEST_MEMBERS > items:
        found, said = _partitioned(scores, k)
        return found, said
    tops = _tops(scores, groups)
    least = np.partition(tops, groups - k, axis=1)[:, groups - k]
    hopeful = (tops >= least[:, None]) & (tops > -np.inf)
    # Many groups as good as the last one: ties, which a partition of the whole row settles as well.
    tied = hopeful.sum(axis=1) > FEWEST_GROUPS * k
    found[tied], said[tied] = _partitioned(scores[tied], k)
    hopeful[tied] = False
    row, group = np.nonzero(hopeful)
    items_of = group[:, None] + groups * np.arange(-(-items // groups))
    values = np.where(items_of < items, scores[row[:, None], np.minimum(items_of, items - 1)], -np.inf)
    place, member = np.nonzero((values >= least[row][:, None]) & (values > -np.inf))
    row, item, value = row[place], items_of[place, member], values[place, member]
    order = np.lexsort((item, -value, row))
    row, item, value = row[order], item[order], value[order]
    rank = np.arange(len(row)) - np.searchsorted(row, np.arange(rows))[row]
    chosen = rank < k
    found[row[chosen], rank[chosen]] = item[chosen]
    said[row[chosen], rank[chosen]] = value[chosen]
    return found, said


def _tops(scores: Floats, groups: int) -> Floats:
    """The best score of each group of each row: of the items g, g + groups, g + 2·groups and so on."""
    rows, items = scores.shape
    whole = items // groups * groups
    tops: Floats = scores[:, :whole].reshape(rows, items // groups, groups).max(axis=1)
    rest = items - whole
    np.maximum(tops[:, :rest], scores[:, whole:], out=tops[:, :rest])
    return tops


def _partitioned(scores: Floats, k: int) -> tuple[Codes, Floats]:
    """`best` for catalogues too small for groups, and for rows of many ties."""
    rows, items = scores.shape
    taken = min(k, items)
    if taken < items:
        chosen = np.argpartition(scores, items - taken, axis=1)[:, items - taken :]
        least = np.take_along_axis(scores, chosen, 1).min(axis=1, keepdims=True)
        # Several items may stand at the edge, and a partition takes any of them.
        for row in np.flatnonzero((scores >= least).sum(axis=1) > taken):
            above = np.flatnonzero(scores[row] > least[row])
            chosen[row] = np.concatenate([above, np.flatnonzero(scores[row] == least[row])[: taken - len(above)]])
    else:
        chosen = np.tile(np.arange(items), (rows, 1))
    chosen.sort(axis=1)
    values = np.take_along_axis(scores, chosen, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    found = np.full((rows, k), NOTHING, dtype=np.int32)
    said = np.full((rows, k), -np.inf, dtype=np.float32)
    found[:, :taken] = np.take_along_axis(chosen, order, 1)
    said[:, :taken] = np.take_along_axis(values, order, 1)
    found[np.isneginf(said)] = NOTHING
    return found, said


def hide(scores: Floats, seen: csr_matrix) -> None:
    """Makes -inf, in place, of what each row's user has seen."""
    rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
    scores[rows, seen.indices] = -np.inf
