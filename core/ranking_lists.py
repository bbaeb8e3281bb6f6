"""Recommended lists beside what their users turned to: what is measured of each user, as a row of numbers.

`scores` says what each number is. Everything is over the full catalogue: a list holds the best of all items, not of a
few that were drawn. An item of the test is relevant, any other is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.scored_rows import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

LONGEST = 1_000  # places of a list that can be measured: a row holds those of its hits, the plan their discounts


def pairs(table: DataFrame, what: str, *, like: DataFrame | None = None) -> DataFrame:
    """The different pairs of `user` and `item` of a table; ids are text or whole numbers, as in the table `like`.

    Raises InputError for a column that is missing or of another type.
    """
    return _ids(table, what, like).distinct()


def lists(recommended: DataFrame, like: DataFrame, longest: int) -> DataFrame:
    """`user`, `item` and `rank` of the first `longest` places of each list.

    Raises InputError for a column that is missing or of another type than in the table `like`.
    """
    if "rank" not in recommended.columns:
        raise InputError(f"recommended has no column 'rank'; {did_you_mean('rank', recommended.columns)}")
    listed = _ids(recommended, "recommended", like, "rank").filter(F.col("rank").isNotNull())
    return listed.filter(F.col("rank") <= longest).select("user", "item", F.col("rank").cast("int").alias("rank"))


def user_scores(listed: DataFrame, wanted: DataFrame, lengths: Sequence[int]) -> DataFrame:
    """A row a user: `user`, `measured`, `without_list`, `faults`, and `scores` of each length as `metric_length`.

    `faults` counts ranks and items that stand twice in a list, and ranks that are none.
    """
    found = listed.join(wanted.withColumn("hit", F.lit(True)), ["user", "item"], "left").groupBy("user")
    seen = found.agg(
        F.array_sort(F.collect_list(F.when(F.col("hit") & (F.col("rank") > 0), F.col("rank")))).alias("hits"),
        (
            2 * F.count(F.lit(1))
            - F.size(F.collect_set("rank"))
            - F.size(F.collect_set("item"))
            + F.count_if(F.col("rank") < 1)
        ).alias("faults"),
    )
    relevant = wanted.groupBy("user").agg(F.count(F.lit(1)).cast("int").alias("relevant"))
    users = relevant.join(seen, "user", "full").select(
        "user",
        "relevant",
        F.col("relevant").isNotNull().alias("measured"),
        F.col("hits").isNull().alias("without_list"),
        F.coalesce("faults", F.lit(0)).alias("faults"),
        F.coalesce("hits", F.array().cast("array<int>")).alias("hits"),
    )
    named = [
        score.alias(f"{metric}_{length}")
        for length in lengths
        for metric, score in scores(F.col("hits"), F.col("relevant"), length).items()
    ]
    return users.select("user", "measured", "without_list", "faults", *named)


def scores(hits: Column, relevant: Column, k: int) -> dict[str, Column]:
    """What is measured of the first k places of one user's list.

    `hits` are the ranks of the relevant items on the list, ascending, and `relevant` is how many relevant items there
    are. With h hits at ranks r_1 < … < r_h up to k, and n relevant items:

    - nDCG: Σ 1 ÷ log2(r_i + 1), divided by the same sum of the best list, Σ 1 ÷ log2(i + 1) for i up to min(n, k)
      (Järvelin and Kekäläinen 2002, https://doi.org/10.1145/582415.582418; gains are 0 and 1).
    - MAP: Σ i ÷ r_i, the precision at each hit, divided by min(n, k), so that the best list has 1 (Manning, Raghavan
      and Schütze 2008, Introduction to Information Retrieval, chapter 8, there without a bound k).
    - precision: h ÷ k; recall: h ÷ n (ibid.).
    - MRR: 1 ÷ r_1, 0 without a hit (Voorhees 1999, the TREC-8 question answering track).
    - hit rate: 1 with a hit, else 0 (Deshpande and Karypis 2004, https://doi.org/10.1145/963770.963776).
    """
    within = F.filter(hits, lambda rank: rank <= k)
    best = F.least(relevant, F.lit(k))
    found = F.size(within)
    # The ideal sums by how many items are relevant, made once: entry i of a literal array.
    ideal = F.array(*[F.lit(total) for total in _ideal(k)])
    precisions = F.transform(within, lambda rank, place: (place + 1) / rank)
    return {
        "ndcg": _total(F.transform(within, lambda rank: 1 / F.log2(rank + 1))) / F.get(ideal, best - 1),
        "map": _total(precisions) / best,
        "precision": found / k,
        "recall": found / relevant,
        "mrr": F.coalesce(1 / F.get(within, F.lit(0)), F.lit(0.0)),
        "hit_rate": (found > 0).cast("double"),
    }


def _ideal(k: int) -> list[float]:
    """The discounted gain of a list with 1, 2, … k relevant items at its head."""
    total, totals = 0.0, []
    for rank in range(1, k + 1):
        total += 1 / math.log2(rank + 1)
        totals.append(total)
    return totals


def _total(numbers: Column) -> Column:
    return F.aggregate(numbers, F.lit(0.0), lambda total, number: total + number)


def check_faults(faults: int) -> None:
    """Raises InputError where lists have any of what `user_scores` counts as faults."""
    if faults:
        raise InputError(
            f"the lists have {faults:,} faults: a user's ranks are 1, 2, 3…, and each rank and each item is there once"
        )


def _ids(table: DataFrame, what: str, like: DataFrame | None, *more: str) -> DataFrame:
    """`user`, `item` and some more columns, without nulls in the first two."""
    for name in ("user", "item"):
        if name not in table.columns:
            raise InputError(f"{what} has no column {name!r}; {did_you_mean(name, table.columns)}")
    chosen = table.select(*[column(name) for name in ("user", "item", *more)])
    if like is not None:
        _check_kinds(chosen, what, like)
    return chosen.filter(F.col("user").isNotNull() & F.col("item").isNotNull())


def _check_kinds(table: DataFrame, what: str, like: DataFrame) -> None:
    for name in ("user", "item"):
        kind, wanted = (frame.schema[name].dataType for frame in (table, like))
        if isinstance(kind, StringType) != isinstance(wanted, StringType):
            raise InputError(
                f"{name} is {kind.simpleString()} in {what} and {wanted.simpleString()} in test: cast one, so that "
                "both name the same"
            )
