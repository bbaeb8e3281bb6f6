"""What comes next: self-attention over a user's latest items, SASRec.

Kang and McAuley 2018 (https://doi.org/10.1109/ICDM.2018.00035), learned by a softmax over items where they took one
negative each; Klenitskiy and Vasilev 2023 (https://doi.org/10.1145/3604915.3610644) found that far better. A user is
nothing but a history, so that one who came after training needs none. An item that nobody has rated tells nothing in a
history, and has the score 0.

Knows no Spark, and torch only where users are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.recsys.part import Codes, Floats

if TYPE_CHECKING:
    from brightspark.recsys.sasrec_net import NextItem

HEADS = "heads"  # among the tensors
USERS_AT_ONCE = 256


@dataclass(frozen=True)
class Sasrec:
    """The weights of a `brightspark.recsys.sasrec_net.NextItem`."""

    name: ClassVar[str] = "sasrec"

    weights: Mapping[str, NDArray[Any]]
    heads: int

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return len(self.weights["biases"])

    @property
    def length(self) -> int:
        """Latest items of a history that count."""
        return len(self.weights["places"])

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """What may come after the last item of each history, whose items stand in the order of time."""
        found: Floats = self.user_vectors(histories) @ self.weights["items.weight"].T
        found += self.weights["biases"]
        return found

    def user_vectors(self, histories: csr_matrix) -> Floats:
        """A row for each history; 0 for one without an item that somebody has rated."""
        import torch

        rows = (histories.indices[slice(*ends)] for ends in pairwise(histories.indptr))
        latest = [row[self._rated[row]][-self.length :] for row in rows]
        sizes = np.array([len(row) for row in latest])
        vectors = np.zeros((len(latest), self.weights["places"].shape[1]), dtype=np.float32)
        asked = np.flatnonzero(sizes)
        asked = asked[np.argsort(sizes[asked], kind="stable")]
        for start in range(0, len(asked), USERS_AT_ONCE):
            block = asked[start : start + USERS_AT_ONCE]
            sequences = np.zeros((len(block), sizes[block].max()), dtype=np.int64)
            for row, user in enumerate(block):
                sequences[row, : sizes[user]] = latest[user]
            with torch.inference_mode():
                states = self._network.states(torch.from_numpy(sequences))
            vectors[block] = states[torch.arange(len(block)), torch.from_numpy(sizes[block]) - 1].numpy()
        return vectors

    @cached_property
    def _rated(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.any(self.weights["items.weight"], axis=1)
        return found

    @cached_property
    def _network(self) -> NextItem:
        import torch

        from brightspark.recsys.sasrec_net import NextItem

        blocks = 1 + max(int(name.split(".")[2]) for name in self.weights if name.startswith("blocks.layers."))
        shape = {"dim": self.weights["places"].shape[1], "blocks": blocks, "heads": self.heads}
        with torch.random.fork_rng():  # who draws before and after draws the same
            made = NextItem(torch.ones(self.items), dropout=0.0, length=self.length, **shape)
        made.load_state_dict({name: torch.from_numpy(each) for name, each in self.weights.items()}, assign=True)
        return made.eval()

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that was learned."""
        return {**self.weights, HEADS: np.array([self.heads])}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        return cls({name: each for name, each in tensors.items() if name != HEADS}, int(tensors[HEADS][0]))
