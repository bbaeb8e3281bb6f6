"""Two towers as a network. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

SPREAD = 0.05  # of embeddings at first
FEATURE_SPREAD = 0.02  # of what features say at first
NEVER = -1e9  # the score of what must not be compared with: finite, so that a row of nothing else has a gradient


class TwoTowers(nn.Module):
    """The network of `brightspark.recsys.towers.Towers`, which says what it computes.

    It takes what `brightspark.recsys.towers_batches.Batches` makes.
    """

    def __init__(
        self, users: torch.Tensor, features: torch.Tensor | None, *, dim: int, dropout: float, id_dropout: float
    ) -> None:
        """`users` tells how many have each item, `features` are items × features."""
        super().__init__()
        self.items, self.histories = (nn.Embedding(len(users), dim) for _ in range(2))
        self.features = None if features is None else nn.Linear(features.shape[1], dim, bias=False)
        self.hidden = nn.Linear(dim, dim)
        self.dropout, self.id_dropout = nn.Dropout(dropout), id_dropout
        for each in (self.items, self.histories):
            nn.init.normal_(each.weight, std=SPREAD)
            with torch.no_grad():
                each.weight[users == 0] = 0  # no gradient ever reaches them
        if self.features is not None:
            nn.init.normal_(self.features.weight, std=FEATURE_SPREAD)
        rated = users > 0
        logs = torch.log(users[rated].float())
        self.biases = nn.Parameter(torch.zeros(len(users)).index_put((rated,), logs - logs.mean()))
        # No buffers: DistributedDataParallel would send them around at each step.
        self.known, self.rated = features, rated.nonzero()[:, 0]

    def forward(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The log-probability of each target, among all rated items that are not in the history.

        Where candidates are drawn, what they add to the softmax's sum is divided by how often they were to be expected
        (Bengio and Senécal 2003), so that the sum is right in the mean. A user's own targets are in it in any case.
        """
        users = self.dropout(self.users(batch))
        dropped = self._dropped()
        target, target_user = batch["target"], batch["target_user"]
        own = (users[target_user] * self.vectors(target, dropped)).sum(1).float() + self.biases[target]
        candidates = batch["candidates"] if "candidates" in batch else self.to_device(self.rated)
        scores = (users @ self.vectors(candidates, dropped).T).float() + self.biases[candidates]
        if "drawn" in batch:
            expected = batch["by_users"][:, None] * batch["users"] + batch["evenly"]
            scores = scores + torch.log(batch["drawn"] / expected)
        scores[batch["own_user"], batch["own_place"]] = NEVER
        total = torch.logaddexp(scores.logsumexp(1), _logsumexp(own, target_user, len(users)))
        found: torch.Tensor = own - total[target_user]
        return found

    def users(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Users × dimensions."""
        history, offsets = batch["history"], batch["offsets"]
        sizes = torch.diff(offsets, append=offsets.new_tensor([len(history)]))
        said = F.embedding_bag(history, self.histories.weight, offsets, mode="sum")
        return torch.tanh(self.hidden(said / sizes.clamp(min=1).sqrt()[:, None]))

    def vectors(self, codes: torch.Tensor, dropped: torch.Tensor | None = None) -> torch.Tensor:
        """Items × dimensions, from the features alone where `dropped`, by code, is 0."""
        found: torch.Tensor = F.embedding(codes, self.items.weight)
        if self.features is None or self.known is None:
            return found
        if dropped is not None:
            found = found * dropped[codes, None]
        self.known = self.to_device(self.known)
        found += self.features(self.known[codes])
        return found

    def to_device(self, fixed: torch.Tensor) -> torch.Tensor:
        """What does not learn, where the network is."""
        return fixed.to(self.biases.device)

    def _dropped(self) -> torch.Tensor | None:
        if not self.training or not self.id_dropout or self.features is None:
            return None
        return (torch.rand_like(self.biases) >= self.id_dropout).float()


def _logsumexp(values: torch.Tensor, row: torch.Tensor, rows: int) -> torch.Tensor:
    """log Σ exp of the values of each row, each of which has one at least."""
    top = values.new_full((rows,), NEVER).scatter_reduce(0, row, values.detach(), "amax")
    return top + torch.zeros_like(top).index_add(0, row, torch.exp(values - top[row])).log()
