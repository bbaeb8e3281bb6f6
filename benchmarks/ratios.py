"""Ratios of interleaved rounds: their median and quartiles, which a machine's slow drift does not move."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple


class Spread(NamedTuple):
    """A median between its quartiles."""

    median: float
    lower: float
    upper: float
    count: int

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.lower:.2f}, {self.upper:.2f}]"


def spread(values: list[float]) -> Spread:
    """Median and quartiles of at least one value.

    >>> print(spread([1.0, 2.0, 3.0, 4.0, 5.0]))
    3.00 [2.00, 4.00]
    """
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, lower, upper, len(values))


def ratio(rates: Mapping[int, float], base: Mapping[int, float]) -> Spread | None:
    """How `rates` compare with `base`, round by round; both map a round to its rate.

    None: they have no round in common.

    >>> print(ratio({0: 100.0, 1: 25.0}, {0: 100.0, 1: 50.0, 2: 10.0}))
    0.75 [0.62, 0.88]
    """
    common = sorted(rates.keys() & base.keys())
    return spread([rates[number] / base[number] for number in common]) if common else None
