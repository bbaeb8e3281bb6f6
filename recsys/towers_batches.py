"""Staged histories as batches that two towers learn from: some items of each user foretell the others. Knows no Spark.

The softmax over all items is the one of Mult-DAE (Liang et al. 2018, https://doi.org/10.1145/3178876.3186150). Where it
would be too large, each step compares with the batch's own targets and evenly drawn items together, as Yang et al. 2020
(https://doi.org/10.1145/3366424.3386195) do, and `brightspark.recsys.towers_net` corrects for how often each is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Batches:
    """Makes batches of rows of `items`, the codes of a user's items, each once.

    A batch has U users, those with two rated items at least; of these one at least is a target and one is not.

    - `history`, `history_user`, `offsets`: the codes of the items that are given, all users' behind each other; the
      number of each one's user; where each user's begin
    - `target`, `target_user`: the same of the items that are to be foretold
    - `own_user`, `own_place`: where among the candidates a user's own items are
    - where candidates are drawn, and else all rated items are: `candidates`, their codes in order; `drawn`, how often
      each was; `users`, how many in training have it; and what is expected of it: `by_users` (a number for each user of
      the batch) times `users` from other users' targets, and `evenly` from the even draw
    """

    users: Whole
    """How many users in training have each item; what none has is left out, for nothing is known of it."""
    target_share: float
    negatives: int
    """That are drawn evenly, and as many of the targets at most; 0 compares with all rated items."""

    def __call__(self, table: pa.Table, training: bool) -> dict[str, torch.Tensor]:
        """What a Task asks for as `batch`."""
        user, item = self._learnable(table)
        sizes = np.bincount(user) if len(user) else np.zeros(0, dtype=np.int64)
        hidden = self._hidden(sizes, user)
        found = {
            "history": item[~hidden],
            "history_user": user[~hidden],
            "offsets": np.concatenate([[0], np.cumsum(np.bincount(user[~hidden]))[:-1]]) if len(user) else sizes,
            "target": item[hidden],
            "target_user": user[hidden],
        }
        candidates = self._rated
        if self.negatives:
            found |= self._drawn(item[hidden], np.bincount(user[hidden], minlength=len(sizes)), sizes)
            candidates = found["candidates"]
        places = np.searchsorted(candidates, item).clip(max=len(candidates) - 1)
        among = candidates[places] == item
        found |= {"own_user": user[among], "own_place": places[among]}
        return {name: torch.from_numpy(values) for name, values in found.items()}

    @cached_property
    def _rated(self) -> Whole:
        return np.flatnonzero(self.users)

    def _learnable(self, table: pa.Table) -> tuple[Whole, Whole]:
        """Users, numbered anew, and their items, of users who have two rated ones."""
        lists = table.column("items").combine_chunks()
        item = lists.flatten().to_numpy().astype(np.int64)
        user = np.repeat(np.arange(len(lists)), lists.value_lengths().to_numpy())
        rated = self.users[item] > 0
        user, item = user[rated], item[rated]
        enough = (np.bincount(user, minlength=len(lists)) > 1)[user]
        _, user = np.unique(user[enough], return_inverse=True)
        return user, item[enough]

    def _hidden(self, sizes: Whole, user: Whole) -> NDArray[np.bool_]:
        """Which items are targets: at random, but one at least, and never all of a user's."""
        chance = np.random.random(len(user))
        if not len(user):
            return chance > 1
        starts = np.cumsum(sizes) - sizes
        least, most = (each.reduceat(chance, starts)[user] for each in (np.minimum, np.maximum))
        hidden: NDArray[np.bool_] = ((chance < self.target_share) | (chance == least)) & (chance != most)
        return hidden

    def _drawn(self, target: Whole, targets: Whole, sizes: Whole) -> dict[str, NDArray[np.generic]]:
        """Candidates, and what is known of how they were drawn; `targets` and `sizes` are the users' numbers."""
        candidates, drawn, of_batch = draw_candidates(self._rated, target, self.negatives)
        # Of a candidate that a user has not, other users' targets alone can be the origin.
        of_others = of_batch * (target.size - targets) / max(1, target.size)
        return {
            "candidates": candidates,
            "drawn": drawn.astype(np.float32),
            "users": self.users[candidates].astype(np.float32),
            "by_users": (of_others / np.maximum(1, self.users.sum() - sizes)).astype(np.float32),
            "evenly": np.array(self.negatives / len(self._rated), dtype=np.float32),
        }


def draw_candidates(rated: Whole, target: Whole, negatives: int) -> tuple[Whole, Whole, int]:
    """Items to compare with, in order, how often each was drawn, and how many draws were of the batch's targets.

    There are `negatives` evenly drawn ones, and as many targets at most.
    """
    of_batch = target if len(target) <= negatives else np.random.permutation(target)[:negatives]
    evenly = rated[np.random.randint(len(rated), size=negatives)]
    candidates, drawn = np.unique(np.concatenate([of_batch, evenly]), return_counts=True)
    return candidates, drawn, len(of_batch)
