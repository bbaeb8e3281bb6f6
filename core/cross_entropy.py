"""The loss of classifiers as the training loop wants it: added up, with what it is to be divided by. Knows no Spark."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from brightspark.core.errors import InputError
from brightspark.core.task import Loss


def cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Loss:
    """The cross entropy of examples × classes, in float32; total ÷ weight is torch's own `reduction="mean"`.

    `label_smoothing` is the share of the truth that is spread over all classes (Szegedy et al. 2016,
    arXiv:1512.00567); `class_weights` weigh each example by its label. Labels are numbers from 0, or shares of the
    classes as float; with shares every example counts as 1, as in torch.
    """
    weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32, device=logits.device)
    total = torch.nn.functional.cross_entropy(
        logits.float(), labels, weight=weights, label_smoothing=label_smoothing, reduction="sum"
    )
    if weights is None or labels.is_floating_point():
        return Loss(total, len(labels))
    return Loss(total, weights[labels].sum())


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights under which every class counts as much as every other, from the number of examples of each.

    scikit-learn's `class_weight="balanced"`: all examples ÷ (classes × examples of the class).
    Raises InputError for a class without an example.

    >>> balanced_weights([30, 10])
    [0.6666666666666666, 2.0]
    """
    if not all(counts):
        raise InputError(f"class {list(counts).index(0)} has no example: balanced weights need one of each")
    return [sum(counts) / (len(counts) * count) for count in counts]
