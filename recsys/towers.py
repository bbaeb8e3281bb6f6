"""Two towers: a user's vector from the history, an item's from its id and its features, and their products.

With the history H of n items, embeddings q of items in a history and p of items to recommend, features f and the
learned W, A, a and b:

    user = tanh(A · Σ q ÷ √n + a)        item = p + W · f        score = user · item + b

A user is nothing but a history, so that one who came after training needs none. An item that nobody has rated has
p = 0: its vector is made of its features. In a history it tells nothing, since nobody has shown what it speaks for.

The two towers are those of Yi et al. 2019 (https://doi.org/10.1145/3298689.3346996), the sum over a history that of
Covington et al. 2016 (https://doi.org/10.1145/2959100.2959190). `brightspark.recsys.towers_training` learns them.
Knows neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError
from brightspark.recsys.part import Codes, Floats


@dataclass(frozen=True)
class Towers:
    """Vectors of items, and what makes those of users and of new items."""

    name: ClassVar[str] = "towers"

    item_vectors: Floats
    """Items × dimensions, features included: alike vectors are of items for alike users."""
    item_biases: Floats
    """How much each item suits everyone; 0, which is an item's mean, for items that nobody has rated."""
    history_vectors: Floats
    """What each item in a history says of its user; 0 for items that nobody has rated."""
    hidden_weight: Floats
    hidden_bias: Floats
    feature_weight: Floats
    """Features × dimensions; without features it has no rows."""

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return len(self.item_vectors)

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        """Products of vectors, and the items' biases. Users of training are told by their histories like all others."""
        found: Floats = self.user_vectors(histories) @ self.item_vectors.T
        found += self.item_biases
        return found

    def user_vectors(self, histories: csr_matrix) -> Floats:
        """A row for each history; how often or how much an item was liked makes no difference."""
        have = histories.astype(bool).astype(np.float32)
        count = have @ self.history_vectors.any(axis=1).astype(np.float32)
        said = have @ self.history_vectors / np.sqrt(np.maximum(count, 1))[:, None]
        vectors: Floats = np.tanh(said @ self.hidden_weight.T + self.hidden_bias)
        return vectors

    def vectors_of(self, features: Floats) -> Floats:
        """Vectors of items of which nothing is known but their features (items × features).

        Raises InputError where these are others than the towers learned.
        """
        if features.ndim != 2 or features.shape[1] != len(self.feature_weight):
            raise InputError(
                f"features of shape {features.shape} are not those that the towers learned: want items × "
                f"{len(self.feature_weight)}"
            )
        found: Floats = features.astype(np.float32) @ self.feature_weight
        return found

    def with_new_items(self, features: Floats) -> Self:
        """The same with further items behind the others, of which nothing is known but their features.

        Raises InputError as `vectors_of` does.
        """
        vectors = self.vectors_of(features)
        return replace(
            self,
            item_vectors=np.concatenate([self.item_vectors, vectors]),
            item_biases=np.concatenate([self.item_biases, np.zeros(len(vectors), dtype=np.float32)]),
            history_vectors=np.concatenate([self.history_vectors, np.zeros_like(vectors)]),
        )

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All that was learned."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The part that gave them."""
        return cls(**{each.name: tensors[each.name] for each in fields(cls)})

    @classmethod
    def from_weights(cls, weights: Mapping[str, NDArray[Any]], features: Floats | None) -> Self:
        """The towers of a training's weights (`brightspark.recsys.towers_net.TwoTowers`), and the items' features."""
        vectors = weights["items.weight"]
        learned = weights.get("features.weight")
        learned = np.zeros((0, vectors.shape[1]), dtype=np.float32) if learned is None else learned.T
        return cls(
            item_vectors=vectors if features is None else vectors + features @ learned,
            item_biases=weights["biases"],
            history_vectors=weights["histories.weight"],
            hidden_weight=weights["hidden.weight"],
            hidden_bias=weights["hidden.bias"],
            feature_weight=np.ascontiguousarray(learned),
        )
