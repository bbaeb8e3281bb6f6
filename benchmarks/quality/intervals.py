"""95 % intervals of a difference between two contenders: over the seeds, and over the test rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import t as student

RESAMPLES = 2_000


def over_seeds(differences: Sequence[float]) -> list[float] | None:
    """Student's interval of the mean of one difference a seed; None for a single seed.

    >>> [round(end, 3) for end in over_seeds([0.01, 0.02, 0.03])]
    [-0.005, 0.045]
    """
    count = len(differences)
    if count < 2:
        return None
    mean = statistics.fmean(differences)
    spread = float(student.ppf(0.975, count - 1)) * statistics.stdev(differences) / math.sqrt(count)
    return [mean - spread, mean + spread]


def over_rows(difference: Callable[[np.ndarray], float], count: int, resamples: int = RESAMPLES) -> list[float]:
    """A paired bootstrap's interval of `difference`, which is told the numbers of rows, drawn among `count`.

    Both contenders are scored on the same drawn rows.
    """
    drawn = np.random.default_rng(0).integers(0, count, (resamples, count))
    low, high = np.quantile([difference(rows) for rows in drawn], [0.025, 0.975])
    return [float(low), float(high)]


def shown(interval: Sequence[float] | None, digits: int = 4) -> str:
    """For a table.

    >>> shown([-0.001, 0.02]), shown(None)
    ('[-0.0010, +0.0200]', '–')
    """
    return "–" if interval is None else f"[{interval[0]:+.{digits}f}, {interval[1]:+.{digits}f}]"
