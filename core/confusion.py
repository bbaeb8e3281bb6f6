"""The confusion matrix, the numbers that follow from it alone, and their bootstrap; numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COVERAGE = 0.95  # of every bootstrap interval

Counts = NDArray[np.int64]


class Interval(NamedTuple):
    """A bootstrap interval that covers `COVERAGE` of the replicates."""

    low: float
    high: float


class Tally(NamedTuple):
    """Rows per class, in the order of a list of classes."""

    hits: Counts
    """rows of the class that were predicted as it"""
    truths: Counts
    """rows of the class: its support"""
    guesses: Counts
    """rows predicted as the class"""


@dataclass(frozen=True)
class Confusion:
    """How often each truth got each prediction: sparse, only the pairs that occur."""

    names: tuple[str, ...]
    """the labels in their order, then every other name that occurs, sorted"""
    cells: Mapping[tuple[str, str], int]
    """rows of each pair (truth, prediction)"""

    @cached_property
    def coded(self) -> tuple[Counts, Counts, Counts]:
        """Truth, prediction (both as places in `names`) and rows of each cell, in an order that is always the same."""
        place = {name: index for index, name in enumerate(self.names)}
        rows = sorted((place[truth], place[guess], count) for (truth, guess), count in self.cells.items())
        truth, guess, count = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        return truth, guess, count

    def tally(self) -> Tally:
        """Hits, truths and guesses of each of `names`."""
        return tally(*self.coded, classes=len(self.names))

    def dense(self) -> Counts:
        """The matrix over `names`: truths are rows, predictions columns. It holds classes² numbers."""
        truth, guess, count = self.coded
        matrix = np.zeros((len(self.names), len(self.names)), dtype=np.int64)
        matrix[truth, guess] = count
        return matrix


def tally(truth: Counts, guess: Counts, count: Counts, *, classes: int) -> Tally:
    """Adds up cells, each `count` rows of class `truth` predicted as class `guess`, to rows per class."""

    def total(place: Counts, rows: Counts) -> Counts:
        # bincount adds in float64, which is exact below 2^53 rows.
        return np.bincount(place, weights=rows, minlength=classes).astype(np.int64)

    return Tally(total(truth, np.where(truth == guess, count, 0)), total(truth, count), total(guess, count))


def headline(rows: Tally) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro and weighted F1 of at least one row, as scikit-learn defines them.

    - accuracy: hits / rows.
    - balanced accuracy: the mean recall of the classes that have truths (Brodersen et al. 2010,
      https://doi.org/10.1109/ICPR.2010.764; `sklearn.metrics.balanced_accuracy_score`).
    - F1 of a class: 2 hits / (truths + guesses) (van Rijsbergen 1979). Its macro mean is over the classes that occur
      as a truth or as a guess, its weighted mean weighs each by its truths (`sklearn.metrics.f1_score`).
    """
    occurring = rows.truths + rows.guesses > 0
    hits, truths, guesses = (column[occurring] for column in rows)
    f1 = 2 * hits / (truths + guesses)
    recall = hits[truths > 0] / truths[truths > 0]
    return {
        "accuracy": float(hits.sum() / truths.sum()),
        "balanced_accuracy": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "weighted_f1": float((f1 * truths).sum() / truths.sum()),
    }


def resample(count: Counts, *, replicates: int, seed: int) -> Iterator[Counts]:
    """Draws bootstrap replicates of a table of counts.

    Drawing n rows with replacement from n rows (Efron 1979, https://doi.org/10.1214/aos/1176344552) fills the
    table's cells by a multinomial of n with the cells' shares. So drawing that multinomial *is* the row bootstrap, not
    an approximation to it, and it needs the counts only.
    """
    draw = np.random.default_rng(seed)
    rows = int(count.sum())
    for _ in range(replicates):
        yield draw.multinomial(rows, count / rows)


def percentile_intervals(replicates: Sequence[Mapping[str, float]]) -> dict[str, Interval]:
    """The percentile interval of each number over its replicates (Efron and Tibshirani 1993, chapter 13)."""
    tails = (50 * (1 - COVERAGE), 50 * (1 + COVERAGE))
    names = replicates[0] if replicates else ()
    return {name: Interval(*map(float, np.percentile([draw[name] for draw in replicates], tails))) for name in names}


def confusion_intervals(confusion: Confusion, *, replicates: int, seed: int) -> dict[str, Interval]:
    """Bootstrap intervals of the `headline` numbers; none without rows or replicates."""
    truth, guess, count = confusion.coded
    if not count.size:
        return {}
    return percentile_intervals(
        [
            headline(tally(truth, guess, drawn, classes=len(confusion.names)))
            for drawn in resample(count, replicates=replicates, seed=seed)
        ]
    )


@dataclass(frozen=True)
class PairedOutcome:
    """Two predictions of the same rows, as counts of each (truth, a, b)."""

    truth: Counts
    a: Counts
    b: Counts
    count: Counts
    classes: int

    @classmethod
    def of(cls, triples: Mapping[tuple[str, str, str], int]) -> PairedOutcome:
        """Numbers the names and sorts the triples, so that a seed always draws the same replicates."""
        names = sorted({name for triple in triples for name in triple})
        place = {name: index for index, name in enumerate(names)}
        rows = sorted((*(place[name] for name in triple), count) for triple, count in triples.items())
        truth, a, b, count = np.array(rows, dtype=np.int64).T
        return cls(truth, a, b, count, classes=len(names))

    def headlines(self, count: Counts | None = None) -> tuple[dict[str, float], dict[str, float]]:
        """The `headline` numbers of a and of b, over the counts or over a replicate of them."""
        rows = self.count if count is None else count
        a, b = (headline(tally(self.truth, guess, rows, classes=self.classes)) for guess in (self.a, self.b))
        return a, b

    def intervals(self, *, replicates: int, seed: int) -> dict[str, Interval]:
        """Intervals of the differences a minus b in accuracy and macro F1, each replicate drawn for both at once."""
        drawn = []
        for count in resample(self.count, replicates=replicates, seed=seed):
            a, b = self.headlines(count)
            drawn.append({name: a[name] - b[name] for name in ("accuracy", "macro_f1")})
        return percentile_intervals(drawn)
