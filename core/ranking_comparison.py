"""Two recommenders on the same users, and how sure one can be of what lies between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from brightspark.core.confusion import Interval, percentile_intervals
from brightspark.core.errors import SettingError
from brightspark.core.persisted import persisted
from brightspark.core.ranking_lists import LONGEST, check_faults, lists, pairs, user_scores
from brightspark.core.ranking_report import METRICS, PairedScore, RankingComparison

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

GROUPS = 20_000  # users are drawn one by one up to so many; more are drawn in so many groups by hash

Sums = NDArray[np.float64]


def compare(
    recommended_a: DataFrame,
    recommended_b: DataFrame,
    test: DataFrame,
    *,
    k: int = 10,
    intervals: int = 1000,
    seed: int = 0,
) -> RankingComparison:
    """Measures the lists of two recommenders for the same users against each other.

    The tables are those of `brightspark.core.ranking_metrics.ranking`, and so are the numbers: means over all users
    with items in `test`, where one without a list counts 0. The intervals are paired: each bootstrap replicate draws
    users with what both recommenders have for them, so that what both find hard cancels out (Efron and Tibshirani 1993,
    https://doi.org/10.1201/9780429246593; percentiles). More than GROUPS users are drawn in so many groups by the hash
    of their ids, which are groups of users at random. The same rows and seed give the same intervals, whatever the
    partitions.

    Raises InputError for what `ranking` refuses, SettingError for settings that cannot be.
    """
    if not 1 <= k <= LONGEST or intervals < 0:
        raise SettingError(f"k={k}, intervals={intervals}: want k from 1 to {LONGEST:,}, and intervals of at least 0")
    wanted = pairs(test, "test")
    a, b = (_named(each, wanted, k, side) for each, side in ((recommended_a, "a"), (recommended_b, "b")))
    with persisted(a.join(b, "user")) as users:
        sums = _group_sums(users)
    if not len(sums):
        return RankingComparison(0, k, {})
    return RankingComparison(int(sums[:, 0].sum()), k, _paired(sums, intervals, seed))


def _named(recommended: DataFrame, wanted: DataFrame, k: int, side: str) -> DataFrame:
    """`user`, and what is measured of one recommender's lists."""
    scored = user_scores(lists(recommended, wanted, k), wanted, [k]).filter("measured")
    numbers = {"faults": "faults", **{f"{metric}_{k}": metric for metric in METRICS}}
    return scored.select("user", *[F.col(name).alias(f"{side}_{short}") for name, short in numbers.items()])


def _group_sums(users: DataFrame) -> Sums:
    """A row a group: its users, and the sums of a's numbers and of b's, in an order that is always the same."""
    count, faults = users.agg(F.count(F.lit(1)), F.sum(F.col("a_faults") + F.col("b_faults"))).collect()[0]
    check_faults(faults or 0)  # of no users there is no sum
    drawn = F.xxhash64(F.col("user").cast("string"))
    group = drawn if count <= GROUPS else F.pmod(drawn, F.lit(GROUPS))
    sums = [F.sum(f"{side}_{metric}") for side in "ab" for metric in METRICS]
    found = users.groupBy(group.alias("group")).agg(F.count(F.lit(1)), *sums).collect()  # no more than GROUPS rows
    return np.array([row[1:] for row in sorted(found)], dtype=np.float64)


def _paired(sums: Sums, intervals: int, seed: int) -> dict[str, PairedScore]:
    draw = np.random.default_rng(seed)
    groups = len(sums)
    replicates = np.empty((intervals, sums.shape[1] - 1))
    for place in range(intervals):
        times = np.bincount(draw.integers(0, groups, groups), minlength=groups)
        total = times @ sums
        replicates[place] = total[1:] / total[0]
    means = sums.sum(axis=0)[1:] / sums[:, 0].sum()
    width = len(METRICS)
    return {
        metric: _score(means[[place, width + place]], replicates[:, [place, width + place]])
        for place, metric in enumerate(METRICS)
    }


def _score(means: Sums, replicates: Sums) -> PairedScore:
    (a, b), (drawn_a, drawn_b) = means, replicates.T
    differences = _interval(drawn_a - drawn_b)
    ratios = _interval(drawn_a / drawn_b) if drawn_b.all() else None
    return PairedScore(
        a=float(a),
        b=float(b),
        difference=float(a - b),
        difference_interval=differences,
        ratio=float(a / b) if b else None,
        ratio_interval=ratios if b else None,
    )


def _interval(drawn: Sums) -> Interval | None:
    return percentile_intervals([{"": float(value)} for value in drawn]).get("")
