"""Learning two towers from staged histories: the task that the training loop runs. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from brightspark.core.shards import Shards
from brightspark.core.task import Batch, Loss, Sums, Task
from brightspark.recsys.feature_matrix import features_of
from brightspark.recsys.towers_batches import Batches
from brightspark.recsys.towers_net import NEVER, TwoTowers

PLACES = 10  # of the lists that are measured
BLOCK = 1 << 24  # scores that are ranked at once


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the task of a training is made of; as JSON, the run's facts."""

    items: int
    histories: str
    """Path of the staged histories of the training."""
    features: str | None
    """Path of the staged features."""
    embedding_dim: int
    dropout: float
    id_dropout: float
    target_share: float
    full_softmax_items: int
    negatives: int
    max_bytes: int


def build(raw: Mapping[str, Any]) -> Task:
    """The task of a training, from its `Facts` as JSON."""
    facts = Facts(**raw)
    users = users_of_items(Shards.open(facts.histories), facts.items)
    features = None
    if facts.features is not None:
        features = features_of(Shards.open(facts.features), facts.items, max_bytes=facts.max_bytes)
    drawn = np.count_nonzero(users) > facts.full_softmax_items
    return Task(
        module=TwoTowers(
            torch.from_numpy(users),
            None if features is None else torch.from_numpy(features),
            dim=facts.embedding_dim,
            dropout=facts.dropout,
            id_dropout=facts.id_dropout,
        ),
        columns=("items",),
        batch=Batches(users, facts.target_share, facts.negatives if drawn else 0),
        loss=loss,
        measure=measure,
        metrics=metrics,
    )


def users_of_items(histories: Shards, items: int) -> NDArray[np.int64]:
    """How many of the staged users have each item."""
    codes = pc.list_flatten(histories.table(["items"]).column("items")).to_numpy()
    return np.bincount(codes, minlength=items)


def loss(module: torch.nn.Module, batch: Batch) -> Loss:
    """The mean over the targets: who has more of them weighs more."""
    return Loss(-module(batch).sum(), len(batch["target"]))


def measure(module: torch.nn.Module, batch: Batch) -> Sums:
    """nDCG at PLACES of the targets, over all rated items that are not in the history, and the number of users."""
    assert isinstance(module, TwoTowers)
    users, rated = module.users(batch), module.to_device(module.rated)
    discounts = 1 / torch.log2(torch.arange(2, PLACES + 2, device=rated.device))
    wanted = len(module.biases) * batch["target_user"] + batch["target"]
    vectors, total = module.vectors(rated), 0.0
    targets = torch.bincount(batch["target_user"], minlength=len(users)).clamp(max=PLACES)
    width = max(1, BLOCK // max(1, len(rated)))
    for start in range(0, len(users), width):
        block = torch.arange(start, min(start + width, len(users)), device=rated.device)
        scores = (users[block] @ vectors.T).float() + module.biases[rated]
        here = torch.isin(batch["history_user"], block)
        places = torch.searchsorted(rated, batch["history"][here])
        scores[batch["history_user"][here] - start, places] = NEVER
        best = rated[scores.topk(min(PLACES, len(rated))).indices]
        hits = torch.isin(len(module.biases) * block[:, None] + best, wanted)
        ideal = discounts.cumsum(0)[targets[block] - 1]
        total += float(((hits * discounts[: hits.shape[1]]).sum(1) / ideal).sum())
    return {"ndcg": total, "users": float(len(users))}


def metrics(sums: Sums) -> Mapping[str, float]:
    """The mean over users."""
    return {"ndcg": sums["ndcg"] / sums["users"] if sums["users"] else float("nan")}
