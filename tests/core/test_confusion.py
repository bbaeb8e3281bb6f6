"""Numbers of a confusion matrix equal scikit-learn's; bootstrap intervals equal those of resampled rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from brightspark.core.confusion import Confusion, PairedOutcome, confusion_intervals, headline

NAMES = st.sampled_from(["ant", "bee", "cat", "dog"])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=40))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_numbers_of_any_confusion_equal_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    truth, guess = zip(*pairs, strict=True)
    numbers = headline(Confusion(("ant", "bee", "cat", "dog"), Counter(pairs)).tally())
    expected = {
        "accuracy": sklearn.accuracy_score(truth, guess),
        "balanced_accuracy": sklearn.balanced_accuracy_score(truth, guess),
        "macro_f1": sklearn.f1_score(truth, guess, average="macro"),
        "weighted_f1": sklearn.f1_score(truth, guess, average="weighted"),
    }
    assert numbers == pytest.approx(expected, rel=0, abs=1e-9)


def test_intervals_are_those_of_resampled_rows() -> None:
    random = np.random.default_rng(1)
    names = np.array(["ant", "bee", "cat", "dog"])
    truth = names[random.integers(0, 4, 150)]
    guess = np.where(random.random(150) < 0.6, truth, names[random.integers(0, 4, 150)])
    confusion = Confusion(tuple(names.tolist()), Counter(zip(truth.tolist(), guess.tolist(), strict=True)))
    intervals = confusion_intervals(confusion, replicates=3000, seed=0)
    assert intervals == confusion_intervals(confusion, replicates=3000, seed=0)
    drawn = [random.integers(0, 150, 150) for _ in range(1500)]
    for name, score in (
        ("accuracy", sklearn.accuracy_score),
        ("macro_f1", lambda y, guess: sklearn.f1_score(y, guess, average="macro")),
    ):
        replicates = [score(truth[rows], guess[rows]) for rows in drawn]
        assert intervals[name] == pytest.approx(np.percentile(replicates, [2.5, 97.5]), abs=0.012)


def test_equal_predictions_differ_by_nothing() -> None:
    outcome = PairedOutcome.of({("cat", "dog", "dog"): 3, ("dog", "dog", "dog"): 2})
    assert outcome.intervals(replicates=50, seed=0) == {"accuracy": (0, 0), "macro_f1": (0, 0)}
