"""The loss of classifiers is torch's own, and the weights are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from brightspark.core.cross_entropy import balanced_weights, cross_entropy
from brightspark.core.errors import InputError


@pytest.mark.parametrize(("weights", "smoothing"), [(None, 0.0), (None, 0.1), ([0.5, 1.0, 3.0], 0.0)])
def test_it_is_torchs_mean(weights: list[float] | None, smoothing: float) -> None:
    logits, labels = torch.randn(20, 3), torch.arange(20) % 3
    loss = cross_entropy(logits, labels, label_smoothing=smoothing, class_weights=weights)
    wanted = torch.nn.functional.cross_entropy(
        logits, labels, weight=None if weights is None else torch.tensor(weights), label_smoothing=smoothing
    )
    torch.testing.assert_close(loss.total / loss.weight, wanted)


def test_smoothing_pulls_no_example_towards_a_rare_class() -> None:
    """Where nothing but the common class is shown, more weight on the rare one changes nothing."""
    logits, labels = torch.randn(20, 3), torch.zeros(20, dtype=torch.long)
    found = [cross_entropy(logits, labels, label_smoothing=0.1, class_weights=[1.0, 1.0, rare]) for rare in (1.0, 50.0)]
    torch.testing.assert_close(found[0].total / found[0].weight, found[1].total / found[1].weight)


def test_shares_of_labels_weigh_what_their_labels_do() -> None:
    logits, labels, weights = torch.randn(20, 3), torch.arange(20) % 3, [0.5, 1.0, 3.0]
    shares = torch.nn.functional.one_hot(labels, 3).float()
    whole, mixed = (
        cross_entropy(logits, truth, label_smoothing=0.1, class_weights=weights) for truth in (labels, shares)
    )
    torch.testing.assert_close(whole.total, mixed.total)
    torch.testing.assert_close(whole.weight, mixed.weight)


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
