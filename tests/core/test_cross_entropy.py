"""The loss of classifiers is torch's own, and the weights are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from brightspark.core.cross_entropy import balanced_weights, cross_entropy
from brightspark.core.errors import InputError


@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 3.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_torchs_mean(weights: list[float] | None, smoothing: float) -> None:
    logits, labels = torch.randn(20, 3), torch.arange(20) % 3
    loss = cross_entropy(logits, labels, label_smoothing=smoothing, class_weights=weights)
    wanted = torch.nn.functional.cross_entropy(
        logits, labels, weight=None if weights is None else torch.tensor(weights), label_smoothing=smoothing
    )
    torch.testing.assert_close(loss.total / loss.weight, wanted)


def test_it_is_computed_in_float32() -> None:
    loss = cross_entropy(torch.randn(4, 3, dtype=torch.bfloat16), torch.zeros(4, dtype=torch.long))
    assert loss.total.dtype == torch.float32


def test_balanced_weights_are_scikit_learns() -> None:
    labels = np.repeat([0, 1, 2], [30, 5, 15])
    assert balanced_weights([30, 5, 15]) == pytest.approx(
        list(compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=labels))
    )
    with pytest.raises(InputError, match="class 1 has no example"):
        balanced_weights([3, 0, 2])
