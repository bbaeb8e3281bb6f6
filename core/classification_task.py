"""What training a classifier is, whatever it classifies: losses, measures and draws. Knows torch, no Spark.

A batch is a pair: what the module eats, and the truth, labels' numbers or rows of zeros and ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from brightspark.core.classifier_facts import ClassifierFacts
from brightspark.core.cross_entropy import cross_entropy
from brightspark.core.depth import by_depth
from brightspark.core.task import Batch, Loss, Sums

MEASURED_CLASSES = 1000  # with more, an epoch's balanced accuracy is left out


def classifying(facts: ClassifierFacts, depth: Mapping[str, int]) -> dict[str, Any]:
    """The arguments of a `Task` that are the same for every classifier whose staged rows have a column `label`.

    `depth` is each parameter's, by its name. Raises SettingError for more trained blocks than there are.
    """
    kind = multi_label_loss if facts.multi_label else loss
    return {
        "loss": partial(kind, smoothing=facts.label_smoothing, weights=facts.class_weights),
        "measure": measure_multi_label if facts.multi_label else partial(measure, classes=len(facts.labels)),
        "metrics": metrics,
        "weigh": balanced_draws if facts.balanced_sampling else None,
        "weigh_columns": ("label",),
        **by_depth(depth, facts.trained_blocks),
    }


class Truth:
    """A record's `label` as the loss wants it: the label's number, or of several a row of zeros and ones."""

    def __init__(self, facts: ClassifierFacts) -> None:
        self.multi_label = facts.multi_label
        self.index = {name: index for index, name in enumerate(facts.labels)}

    def __call__(self, label: Any) -> torch.Tensor:
        """A name, or of several an array of names, as a tensor."""
        if not self.multi_label:
            return torch.tensor(self.index[label])
        truth = torch.zeros(len(self.index))
        truth[[self.index[name] for name in label]] = 1
        return truth


def loss(module: torch.nn.Module, batch: Batch, *, smoothing: float, weights: Sequence[float] | None) -> Loss:
    """Cross entropy; of validation rows without smoothing, so that it can be told from a better calibrated one."""
    inputs, truth = batch
    return cross_entropy(
        module(inputs), truth, label_smoothing=smoothing if module.training else 0.0, class_weights=weights
    )


def multi_label_loss(
    module: torch.nn.Module, batch: Batch, *, smoothing: float, weights: Sequence[float] | None
) -> Loss:
    """Binary cross entropy, its mean over the labels added up over the examples; `weights` are of the positives."""
    inputs, truth = batch
    if module.training:
        truth = truth * (1 - smoothing) + smoothing / 2
    positive = None if weights is None else torch.tensor(weights, dtype=torch.float32, device=truth.device)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        module(inputs).float(), truth, pos_weight=positive, reduction="none"
    )
    return Loss(each.mean(dim=1).sum(), len(truth))


def measure(module: torch.nn.Module, batch: Batch, *, classes: int) -> Sums:
    """Hits and rows, in all and, where the classes are not too many, by class."""
    inputs, truth = batch
    right = module(inputs).argmax(dim=1) == truth
    sums = {"hits": float(right.sum()), "rows": float(len(truth))}
    if classes <= MEASURED_CLASSES:
        for label in truth.unique().tolist():
            sums[f"hits of {label}"] = float(right[truth == label].sum())
            sums[f"rows of {label}"] = float((truth == label).sum())
    return sums


def measure_multi_label(module: torch.nn.Module, batch: Batch) -> Sums:
    """Labels told right, of all labels of all rows."""
    inputs, truth = batch
    right = (module(inputs) > 0) == truth.bool()
    return {"hits": float(right.sum()), "rows": float(right.numel())}


def metrics(sums: Sums) -> dict[str, float]:
    """`accuracy` and, of single labels, `balanced_accuracy`: the mean of the recalls of the classes that occur."""
    found = {"accuracy": sums["hits"] / sums["rows"]}
    recalls = [sums[f"hits of {name[8:]}"] / rows for name, rows in sums.items() if name.startswith("rows of ")]
    return {**found, "balanced_accuracy": sum(recalls) / len(recalls)} if recalls else found


def balanced_draws(table: pa.Table) -> NDArray[np.float64]:
    """Weights by which every label is drawn as often as every other; of several labels a row's rarest one counts."""
    column = table.column("label").combine_chunks()
    if not pa.types.is_list(column.type):
        return 1 / _rows_of_each(column)
    rows, each = pc.list_parent_indices(column).to_numpy(), 1 / _rows_of_each(pc.list_flatten(column))
    weights = np.zeros(len(column))
    np.maximum.at(weights, rows, each)
    without = weights == 0
    weights[without] = 1 / max(1, without.sum())
    return weights


def _rows_of_each(labels: pa.Array) -> NDArray[np.float64]:
    """How many there are of each label, at each label's place."""
    numbers = labels.dictionary_encode().indices.to_numpy()
    return np.bincount(numbers).astype(np.float64)[numbers] if len(numbers) else np.zeros(0)
