"""Metrics of recommended lists as Spark aggregations: lists and held-back items in, a small report out.

`brightspark.core.ranking_lists.scores` defines what is measured of a user's list, `_catalogue_scores` what all lists
together say of the items. What is collected is sums by group of users and counts by how often an item is recommended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError
from brightspark.core.persisted import persisted
from brightspark.core.ranking_lists import LONGEST, check_faults, lists, pairs, user_scores
from brightspark.core.ranking_report import METRICS, CatalogueScores, RankingReport, RankingScores
from brightspark.core.scored_rows import bounded_collect

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

ACTIVITY = (0, 5, 20, 100)  # items of a user in training: groups of users end here
COUNT_LIMIT = 1_000_000  # different (k, times recommended) pairs that the driver takes


def ranking(
    recommended: DataFrame,
    test: DataFrame,
    *,
    train: DataFrame | None = None,
    k: int | Sequence[int] = 10,
    catalogue: int | None = None,
    activity: Sequence[int] = ACTIVITY,
) -> RankingReport:
    """Measures the lists of a recommender against the items that its users turned to.

    - recommended: `user`, `item` and `rank` (1, 2, 3… for each user). Ranks beyond the largest k are not looked at.
    - test: `user` and `item`, held back from training.
    - train: `user` and `item`; without it there is no novelty and no group by activity.
    - k: how much of a list counts, or several such lengths. A list that is shorter has nothing in its last places.
    - catalogue: how many items could have been recommended; by default those in `train` or `test`.
    - activity: users are grouped by their items in training, up to and including each of these numbers.

    Users without items in the test are counted and take no part; users with them, but without a list, count 0. Pairs
    that stand several times in `test` or `train` count once; rows with a null take no part.

    Raises InputError for columns that are missing, ids of another type than in `test`, a user's rank or item that
    stands twice, and more different items than the catalogue has; SettingError for lengths and bounds that cannot be.

    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.getOrCreate()
    >>> lists = spark.createDataFrame([("ann", "x", 1), ("ann", "y", 2)], "user string, item string, rank int")
    >>> held_back = spark.createDataFrame([("ann", "y"), ("ann", "z")], "user string, item string")
    >>> scores = ranking(lists, held_back, k=2).overall[2]
    >>> scores.precision, scores.recall, scores.mrr
    (0.5, 0.5, 0.5)
    """
    lengths = _lengths(k)
    bounds = _bounds(activity)
    wanted = pairs(test, "test")
    listed = lists(recommended, wanted, lengths[-1])
    known = None if train is None else pairs(train, "train", like=wanted)
    with persisted(listed) as held:
        users = user_scores(held, wanted, lengths)
        groups = _groups(users, known, bounds, lengths)
        size = _size(wanted, known) if catalogue is None else catalogue
        items = _catalogue_scores(held, known, lengths, size)
    measured = [row for row in groups if row["measured"]]
    names = _activity_names(bounds)
    return RankingReport(
        measured=sum(row["users"] for row in measured),
        without_list=sum(row["without_list"] for row in measured),
        without_test=sum(row["users"] for row in groups if not row["measured"]),
        catalogue=size,
        overall={length: _means(measured, length) for length in lengths},
        items=items,
        by_activity={}
        if known is None
        else {
            name: {length: _means(rows, length) for length in lengths}
            for place, name in enumerate(names)
            if (rows := [row for row in measured if row["activity"] == place])
        },
    )


def _groups(users: DataFrame, known: DataFrame | None, bounds: Sequence[int], lengths: Sequence[int]) -> list[Row]:
    """Sums over the users of each group by activity, measured and not."""
    activity = F.lit(0)
    if known is not None:
        learned = known.groupBy("user").agg(F.count(F.lit(1)).alias("learned"))
        users = users.join(learned, "user", "left")
        items = F.coalesce("learned", F.lit(0))
        activity = sum(((items > bound).cast("int") for bound in bounds), start=F.lit(0))
    names = [f"{metric}_{length}" for length in lengths for metric in METRICS]
    summed = users.groupBy("measured", activity.alias("activity")).agg(
        F.count(F.lit(1)).alias("users"),
        F.count_if("without_list").alias("without_list"),
        F.sum("faults").alias("faults"),
        *[F.sum(name).alias(name) for name in names],
    )
    found = bounded_collect(summed)
    check_faults(sum(row["faults"] for row in found))
    return found


def _means(rows: Iterable[Any], length: int) -> RankingScores:
    rows = list(rows)
    users = sum(row["users"] for row in rows)
    return RankingScores(
        users,
        **{metric: sum(row[f"{metric}_{length}"] for row in rows) / users if users else None for metric in METRICS},
    )


def _catalogue_scores(
    listed: DataFrame, known: DataFrame | None, lengths: Sequence[int], size: int
) -> dict[int, CatalogueScores]:
    """What the first k places of all lists say of the catalogue, also those of users without a test.

    - coverage: different items recommended ÷ items of the catalogue (Ge, Delgado-Battenfeld and Jannach 2010,
      https://doi.org/10.1145/1864708.1864761).
    - novelty: the mean self-information −log2(users of the item in training ÷ users in training) over all places (Zhou
      et al. 2010, https://doi.org/10.1073/pnas.1000488107). An item that nobody has counts as if one user had it.
    - Gini: Σ (2i − n − 1) c_i ÷ (n Σ c_i) over the n items of the catalogue, ascending by c_i, how often an item is
      recommended, 0 included (Fleder and Hosanagar 2009, https://doi.org/10.1287/mnsc.1080.0974).
    """
    counts = [F.count_if(F.col("rank") <= length).alias(f"times_{length}") for length in lengths]
    items, bits = listed.groupBy("item").agg(*counts), F.lit(None).cast("double")
    if known is not None:
        users = known.select("user").distinct().count()
        owners = known.groupBy("item").agg(F.count(F.lit(1)).alias("owners"))
        items = items.join(owners, "item", "left")
        bits = F.log2(F.lit(float(users)) / F.coalesce("owners", F.lit(1)))
    each = F.explode(
        F.array(*[F.struct(F.lit(length).alias("k"), F.col(f"times_{length}").alias("times")) for length in lengths])
    )
    counted = (
        items.select(each.alias("at"), bits.alias("bits"))
        .filter("at.times > 0")
        .groupBy("at.k", "at.times")
        .agg(F.count(F.lit(1)).alias("items"), F.sum("bits").alias("bits"))
    )
    found = bounded_collect(counted, COUNT_LIMIT, "numbers of times that an item is recommended")
    return {length: _of_catalogue([row for row in found if row["k"] == length], size) for length in lengths}


def _of_catalogue(rows: Sequence[Row], size: int) -> CatalogueScores:
    """From how many items are recommended how often."""
    listed = sum(row["items"] for row in rows)
    places = sum(row["items"] * row["times"] for row in rows)
    if listed > size:
        raise InputError(f"{listed:,} different items are recommended, but the catalogue has {size:,}: name its size")
    if not places:
        return CatalogueScores(coverage=0.0 if size else None, novelty=None, gini=None)
    known = all(row["bits"] is not None for row in rows)
    spread, before = 0, size - listed  # items that are never recommended come first, and add nothing
    for row in sorted(rows, key=lambda row: row["times"]):
        spread += row["times"] * row["items"] * (2 * before + row["items"] - size)
        before += row["items"]
    return CatalogueScores(
        coverage=listed / size,
        novelty=sum(row["times"] * row["bits"] for row in rows) / places if known else None,
        gini=spread / (size * places),
    )


def _size(wanted: DataFrame, known: DataFrame | None) -> int:
    items = wanted.select("item") if known is None else wanted.select("item").union(known.select("item"))
    return items.distinct().count()


def _lengths(k: int | Sequence[int]) -> list[int]:
    lengths = sorted({k} if isinstance(k, int) else set(k))
    if not lengths or lengths[0] < 1 or lengths[-1] > LONGEST:
        raise SettingError(f"k={k}: want a list's length, or several, from 1 to {LONGEST:,}")
    return lengths


def _bounds(activity: Sequence[int]) -> list[int]:
    bounds = sorted(set(activity))
    if not bounds or bounds[0] < 0:
        raise SettingError(f"activity={tuple(activity)}: want numbers of items at which groups end, such as {ACTIVITY}")
    return bounds


def _activity_names(bounds: Sequence[int]) -> list[str]:
    """Each group's name, by how many items its users have in training.

    >>> _activity_names([0, 5])
    ['0 items', '1 to 5 items', 'more than 5 items']
    """
    starts = [0, *(bound + 1 for bound in bounds)]
    named = [str(end) if start == end else f"{start} to {end}" for start, end in zip(starts, bounds, strict=False)]
    return [*(f"{name} items" for name in named), f"more than {bounds[-1]} items"]
