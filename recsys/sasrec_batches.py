"""Staged histories in the order of time as windows, each item of which foretells the next one. Knows no Spark."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from brightspark.recsys.towers_batches import Whole, draw_candidates


@dataclass(frozen=True)
class Windows:
    """Makes batches of rows of `items`, the codes of a user's items in the order of time.

    A batch has U users, those with two rated items at least, and of each as many items in a row as fit, drawn at random
    from a longer history.

    - `sequence`: users × places, codes; 0 behind a user's last one
    - `row`, `place`, `target`: where in it an item stands that foretells another, and that other's code
    - `own_target`, `own_place`: where among the candidates a target itself is
    - where candidates are drawn, and else all rated items are: `candidates`, their codes in order; `drawn`, how often
      each was; `expected`, how often it was to be
    """

    users: Whole
    """How many users in training have each item; what none has is left out, for nothing is known of it."""
    length: int
    """Of a window, at most."""
    negatives: int
    """That are drawn evenly, and as many of the targets at most; 0 compares with all rated items."""

    def __call__(self, table: pa.Table, training: bool) -> dict[str, torch.Tensor]:
        """What a Task asks for as `batch`."""
        windows = [self._window(items, training) for items in self._histories(table)]
        windows = [window for window in windows if len(window) > 1]
        sizes = np.array([len(window) - 1 for window in windows], dtype=np.int64)
        sequence = np.zeros((len(windows), int(sizes.max(initial=1))), dtype=np.int64)
        for row, window in enumerate(windows):
            sequence[row, : len(window) - 1] = window[:-1]
        target = np.concatenate([*(window[1:] for window in windows), np.empty(0, dtype=np.int64)])
        found = {
            "sequence": sequence,
            "row": np.repeat(np.arange(len(windows)), sizes),
            "place": np.arange(len(target)) - np.repeat(np.cumsum(sizes) - sizes, sizes),
            "target": target,
        }
        candidates = self._rated
        if self.negatives:
            found |= self._drawn(target)
            candidates = found["candidates"]
        places = np.searchsorted(candidates, target).clip(max=len(candidates) - 1)
        among = candidates[places] == target
        found |= {"own_target": np.flatnonzero(among), "own_place": places[among]}
        return {name: torch.from_numpy(values) for name, values in found.items()}

    @cached_property
    def _rated(self) -> Whole:
        return np.flatnonzero(self.users)

    def _histories(self, table: pa.Table) -> list[Whole]:
        lists = table.column("items").combine_chunks()
        items = lists.flatten().to_numpy().astype(np.int64)
        ends = np.cumsum(lists.value_lengths().to_numpy())
        return [each[self.users[each] > 0] for each in np.split(items, ends[:-1])]

    def _window(self, items: Whole, training: bool) -> Whole:
        spare = len(items) - (self.length + 1)
        if spare <= 0:
            return items
        start = np.random.randint(spare + 1) if training else spare
        return items[start : start + self.length + 1]

    def _drawn(self, target: Whole) -> dict[str, NDArray[np.generic]]:
        """Candidates, and what is known of how they were drawn."""
        candidates, drawn, of_batch = draw_candidates(self._rated, target, self.negatives)
        by_chance = of_batch * self.users[candidates] / self.users.sum()
        expected = (by_chance + self.negatives / len(self._rated)).astype(np.float32)
        return {"candidates": candidates, "drawn": drawn.astype(np.float32), "expected": expected}
