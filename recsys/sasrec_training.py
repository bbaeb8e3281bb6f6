"""Learning the sequential model from staged histories: the task that the training loop runs. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from brightspark.core.shards import Shards
from brightspark.core.task import Task
from brightspark.recsys.sasrec_batches import Windows
from brightspark.recsys.sasrec_net import NextItem
from brightspark.recsys.towers_training import loss, users_of_items


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the task of a training is made of; as JSON, the run's facts."""

    items: int
    histories: str
    """Path of the staged histories of the training."""
    embedding_dim: int
    blocks: int
    heads: int
    dropout: float
    length: int
    full_softmax_items: int
    negatives: int


def build(raw: Mapping[str, Any]) -> Task:
    """The task of a training, from its `Facts` as JSON."""
    facts = Facts(**raw)
    users = users_of_items(Shards.open(facts.histories), facts.items)
    drawn = np.count_nonzero(users) > facts.full_softmax_items
    return Task(
        module=NextItem(
            torch.from_numpy(users),
            dim=facts.embedding_dim,
            blocks=facts.blocks,
            heads=facts.heads,
            dropout=facts.dropout,
            length=facts.length,
        ),
        columns=("items",),
        batch=Windows(users, facts.length, facts.negatives if drawn else 0),
        loss=loss,
    )
