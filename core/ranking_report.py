"""What `brightspark.core.ranking_metrics` answers with: reports that print and turn into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from brightspark.core.confusion import Interval

METRICS = {  # of a user's list, in the order they are shown
    "ndcg": "nDCG",
    "map": "MAP",
    "precision": "precision",
    "recall": "recall",
    "mrr": "MRR",
    "hit_rate": "hit rate",
}


@dataclass(frozen=True)
class RankingScores:
    """Means over users, each from 0 to 1; None where there is no user to measure."""

    users: int
    ndcg: float | None
    map: float | None
    precision: float | None
    recall: float | None
    mrr: float | None
    hit_rate: float | None


@dataclass(frozen=True)
class CatalogueScores:
    """What all lists together say of the catalogue; None where there are no lists, or nothing to compare with."""

    coverage: float | None
    """the share of the catalogue that is on some list"""
    novelty: float | None
    """bits: how surprising a recommended item is by its popularity in training"""
    gini: float | None
    """0 where every item is recommended equally often, near 1 where a few take all places"""


@dataclass(frozen=True)
class RankingReport:
    """What `ranking` measures, by k, the lists' length; prints as a table, turns into JSON by `to_dict`."""

    measured: int
    """users with items in the test: what every number but the catalogue's is over"""
    without_list: int
    """of these, users to whom nothing was recommended: each counts 0"""
    without_test: int
    """users with a list, but without items in the test: not measured"""
    catalogue: int
    """items that could have been recommended"""
    overall: Mapping[int, RankingScores]
    items: Mapping[int, CatalogueScores]
    by_activity: Mapping[str, Mapping[int, RankingScores]]
    """by a user's items in training; empty where no training was given"""

    def __str__(self) -> str:
        lines = [
            f"{self.measured:,} users measured ({self.without_list:,} of them without a list); "
            f"{self.without_test:,} with a list have nothing to measure it by; {self.catalogue:,} items"
        ]
        for k, scores in self.overall.items():
            lines += ["", f"{f'at {k}':24}{'users':>9}" + "".join(f"{name:>11}" for name in METRICS.values())]
            groups = {"all": scores, **{name: found[k] for name, found in self.by_activity.items()}}
            lines += [
                f"{name[:23]:24}{each.users:>9,}"
                + "".join(f"{_shown(getattr(each, metric)):>11}" for metric in METRICS)
                for name, each in groups.items()
            ]
            told = self.items[k]
            lines.append(
                f"coverage {_shown(told.coverage)}, novelty {_shown(told.novelty)} bits, Gini {_shown(told.gini)}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, strings and numbers that JSON knows."""
        return asdict(self)


@dataclass(frozen=True)
class PairedScore:
    """A number of two recommenders on the same users, with the bootstrap's intervals of what lies between them."""

    a: float
    b: float
    difference: float
    """a − b"""
    difference_interval: Interval | None
    """None where no replicates were asked for"""
    ratio: float | None
    """a ÷ b; None where b is 0"""
    ratio_interval: Interval | None
    """None where b is 0 in some replicate, too"""


@dataclass(frozen=True)
class RankingComparison:
    """What `compare` finds; an interval of the difference without 0, or of the ratio without 1, tells the two apart."""

    users: int
    k: int
    scores: Mapping[str, PairedScore]
    """by metric; empty where there is no user to measure"""

    def __str__(self) -> str:
        lines = [
            f"{self.users:,} users, at {self.k}",
            f"{'':12}{'a':>9}{'b':>9}{'a − b':>9}{'95 %':>22}{'a ÷ b':>9}{'95 %':>20}",
        ]
        for metric, score in self.scores.items():
            lines.append(
                f"{METRICS[metric]:12}{score.a:>9.4f}{score.b:>9.4f}{score.difference:>+9.4f}"
                f"{_interval(score.difference_interval, '+.4f'):>22}{_shown(score.ratio):>9}"
                f"{_interval(score.ratio_interval, '.4f'):>20}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, strings and numbers that JSON knows."""
        return asdict(self)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(ends: Interval | None, form: str) -> str:
    return "–" if ends is None else f"[{ends.low:{form}}, {ends.high:{form}}]"
