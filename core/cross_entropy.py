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
    """The cross entropy of examples × classes, in float32.

    `label_smoothing` is the share of the truth that is spread over all classes (Szegedy et al. 2016,
    arXiv:1512.00567); `class_weights` weigh each example by its label. Labels are numbers from 0, or shares of the
    classes as float: then an example's weight is the mean of its classes' weights by those shares.

    total ÷ weight is torch's own `reduction="mean"`, but where weights meet smoothing or shares: torch weighs what is
    spread by the classes that it is spread to, so that a rare class's weight pulls every example towards that class.
    """
    each = torch.nn.functional.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing, reduction="none")
    if class_weights is None:
        return Loss(each.sum(), len(labels))
    weights = torch.tensor(class_weights, dtype=torch.float32, device=logits.device)
    of_each = labels.float() @ weights if labels.is_floating_point() else weights[labels]
    return Loss((each * of_each).sum(), of_each.sum())


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
