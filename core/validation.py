"""What a network is worth between two epochs: its metrics over rows that it does not learn from. Knows no Spark."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from brightspark.core.batches import Skipped
from brightspark.core.errors import BudgetError
from brightspark.core.loader import validation_batches
from brightspark.core.precision import inference
from brightspark.core.ranks import Ranks
from brightspark.core.shards import Rows
from brightspark.core.task import Task, added, to_device
from brightspark.core.training_settings import TrainingSettings


def validate(
    network: torch.nn.Module, rows: Rows, task: Task, settings: TrainingSettings, ranks: Ranks
) -> dict[str, float]:
    """The loss and the task's metrics over all rows, each counted once, all ranks' shares together.

    Raises BudgetError where more than `max_error_rate` of the rows cannot be read: numbers over the others would not
    compare with another epoch's.
    """
    network.eval()
    ranks.share_buffers(network)
    batches = validation_batches(
        rows,
        task,
        batch_size=settings.share(ranks.ranks),
        rank=ranks.rank,
        ranks=ranks.ranks,
        workers=settings.loader_workers,
    )
    found: list[dict[str, float]] = []
    skipped: list[Skipped] = []
    with inference(network, ranks.device.type, settings.precision):
        for taken in batches:
            skipped += taken.skipped
            if taken.batch is not None:
                batch = to_device(taken.batch, ranks.device)
                loss = task.loss(network, batch)
                own = {"__loss": float(loss.total), "__weight": float(loss.weight)}
                found.append({**own, **task.measure(network, batch)})
    _check([one for some in ranks.gathered(skipped) for one in some], len(rows), settings.max_error_rate)
    sums = added(ranks.gathered(added(found)))
    metrics = dict(task.metrics({name: value for name, value in sums.items() if not name.startswith("__")}))
    return {"loss": sums["__loss"] / sums["__weight"] if sums["__weight"] else float("nan"), **metrics}


def _check(skipped: Sequence[Skipped], rows: int, allowed: float) -> None:
    if skipped and (len(skipped) > allowed * rows or len(skipped) == rows):
        raise BudgetError(
            f"{len(skipped):,} of the {rows:,} validation rows cannot be read, more than max_error_rate={allowed} "
            f"allows; row {skipped[0].row}: {skipped[0].reason}"
        )
