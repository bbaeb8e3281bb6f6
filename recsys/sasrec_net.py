"""The sequential model as a network. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from brightspark.recsys.towers_net import NEVER, SPREAD


class NextItem(nn.Module):
    """Self-attention over a user's items in the order of time, each of which foretells the one after it.

    The network of SASRec (Kang and McAuley 2018, https://doi.org/10.1109/ICDM.2018.00035), with a bias for each item.
    It takes what `brightspark.recsys.sasrec_batches.Windows` makes.
    """

    def __init__(self, users: torch.Tensor, *, dim: int, blocks: int, heads: int, dropout: float, length: int) -> None:
        """`users` tells how many have each item."""
        super().__init__()
        self.items = nn.Embedding(len(users), dim)
        self.places = nn.Parameter(torch.randn(length, dim) * SPREAD)
        self.dropout = nn.Dropout(dropout)
        block = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, blocks, nn.LayerNorm(dim), enable_nested_tensor=False)
        nn.init.normal_(self.items.weight, std=SPREAD)
        rated = users > 0
        with torch.no_grad():
            self.items.weight[~rated] = 0  # no gradient ever reaches them
        logs = torch.log(users[rated].float())
        self.biases = nn.Parameter(torch.zeros(len(users)).index_put((rated,), logs - logs.mean()))
        self.rated = rated.nonzero()[:, 0]  # no buffer: DistributedDataParallel would send it around at each step

    def forward(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The log-probability of each target, among all rated items or those that were drawn."""
        states = self.states(batch["sequence"])[batch["row"], batch["place"]]
        target = batch["target"]
        own = (states * F.embedding(target, self.items.weight)).sum(1).float() + self.biases[target]
        candidates = batch["candidates"] if "candidates" in batch else self.rated.to(target.device)
        scores = (states @ F.embedding(candidates, self.items.weight).T).float() + self.biases[candidates]
        if "expected" in batch:
            scores = scores + torch.log(batch["drawn"] / batch["expected"])
        scores[batch["own_target"], batch["own_place"]] = NEVER
        found: torch.Tensor = own - torch.logaddexp(scores.logsumexp(1), own)
        return found

    def states(self, sequences: torch.Tensor) -> torch.Tensor:
        """Users × places × dimensions: what is known of each user after each of his items.

        Items stand at the left; whatever follows a user's last one changes nothing before it.
        """
        length = sequences.shape[1]
        given = self.dropout(F.embedding(sequences, self.items.weight) + self.places[:length])
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=given.device, dtype=given.dtype)
        found: torch.Tensor = self.blocks(given, mask=mask, is_causal=True)
        return found
