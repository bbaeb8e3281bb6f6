"""Ranking metrics over Spark equal a second implementation in plain numpy, also where lists or tests are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brightspark.core.errors import InputError, SettingError
from brightspark.core.ranking_comparison import compare
from brightspark.core.ranking_metrics import ranking

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PAIRS = "user long, item long"
LISTS = f"{PAIRS}, rank int"
METRICS = ("ndcg", "map", "precision", "recall", "mrr", "hit_rate")


@dataclass
class Data:
    """Lists by user, and the items of each user in training and test."""

    lists: Mapping[int, Sequence[int]]
    test: Mapping[int, set[int]]
    train: Mapping[int, set[int]]
    items: int

    def frames(self, spark: SparkSession) -> tuple[DataFrame, DataFrame, DataFrame]:
        ranked = [(user, item, place) for user, items in self.lists.items() for place, item in enumerate(items, 1)]
        held, learned = (
            [(user, item) for user, items in side.items() for item in sorted(items)] for side in (self.test, self.train)
        )
        return (
            spark.createDataFrame(ranked[::-1], LISTS).repartition(3),
            spark.createDataFrame(held, PAIRS),
            spark.createDataFrame(learned, PAIRS),
        )


def random_data(seed: int = 0, users: int = 60, items: int = 40) -> Data:
    draw = np.random.default_rng(seed)
    weights = draw.dirichlet(np.full(items, 0.3))  # a few items are popular
    train, test, lists = {}, {}, {}
    for user in range(users):
        taken = draw.choice(items, size=int(draw.integers(1, 30)), replace=False, p=weights * 0.5 + 0.5 / items)
        cut = int(draw.integers(0, len(taken) + 1))
        train[user], test[user] = set(map(int, taken[:cut])), set(map(int, taken[cut:]))
        lists[user] = [int(item) for item in draw.permutation(items)[: int(draw.integers(0, 25))]]
    return Data(
        {user: found for user, found in lists.items() if found},
        {user: found for user, found in test.items() if found},
        {user: found for user, found in train.items() if found},
        items,
    )


def plain_user(listed: Sequence[int], relevant: set[int], k: int) -> dict[str, float]:
    """The definitions once more, place by place."""
    gains = np.zeros(k)
    for place, item in enumerate(listed[:k]):
        gains[place] = item in relevant
    discounts = np.log2(np.arange(2, k + 2))
    ideal = np.zeros(k)
    ideal[: min(k, len(relevant))] = 1
    precisions = np.cumsum(gains) / np.arange(1, k + 1)
    first = np.flatnonzero(gains)
    return {
        "ndcg": (gains / discounts).sum() / (ideal / discounts).sum(),
        "map": (precisions * gains).sum() / min(k, len(relevant)),
        "precision": gains.sum() / k,
        "recall": gains.sum() / len(relevant),
        "mrr": 1 / (first[0] + 1) if len(first) else 0.0,
        "hit_rate": float(gains.any()),
    }


def plain(data: Data, k: int, users: Sequence[int]) -> dict[str, float]:
    rows = [plain_user(data.lists.get(user, []), data.test[user], k) for user in users]
    return {metric: float(np.mean([row[metric] for row in rows])) for metric in METRICS}


def plain_catalogue(data: Data, k: int) -> dict[str, float]:
    counts = np.zeros(data.items)
    for items in data.lists.values():
        np.add.at(counts, list(items[:k]), 1)
    owners = np.array([sum(item in items for items in data.train.values()) for item in range(data.items)])
    bits = -np.log2(np.maximum(owners, 1) / len(data.train))
    # As the mean absolute difference of all pairs of items: another of Gini's formulas.
    gini = np.abs(counts[:, None] - counts[None, :]).sum() / (2 * data.items * counts.sum())
    return {
        "coverage": float((counts > 0).mean()),
        "novelty": float((counts * bits).sum() / counts.sum()),
        "gini": float(gini),
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_numbers_are_those_of_a_second_implementation(spark: SparkSession, seed: int) -> None:
    data = random_data(seed)
    lists, test, train = data.frames(spark)
    lengths = [1, 5, 10, 100]  # the last is longer than any list, and than the catalogue
    report = ranking(lists, test, train=train, k=lengths, catalogue=data.items, activity=(0, 5, 12))
    users = sorted(data.test)
    assert report.measured == len(users)
    assert report.without_list == len(set(users) - set(data.lists))
    assert report.without_test == len(set(data.lists) - set(users)) > 0
    for k in lengths:
        found = asdict(report.overall[k])
        assert found.pop("users") == len(users)
        assert found == pytest.approx(plain(data, k, users), abs=1e-9)
        assert asdict(report.items[k]) == pytest.approx(plain_catalogue(data, k), abs=1e-9)
    groups = {"0 items": (0, 0), "1 to 5 items": (1, 5), "6 to 12 items": (6, 12), "more than 12 items": (13, 99)}
    for name, (low, high) in groups.items():
        some = [user for user in users if low <= len(data.train.get(user, ())) <= high]
        found = asdict(report.by_activity[name][5])
        assert found.pop("users") == len(some) > 0
        assert found == pytest.approx(plain(data, 5, some), abs=1e-9), name
    assert "at 100" in str(report)
    assert report.to_dict()["overall"][5]["ndcg"] == report.overall[5].ndcg


def test_a_perfect_list_has_ones(spark: SparkSession) -> None:
    data = Data({1: [4, 2, 9]}, {1: {2, 4, 9}}, {1: {5}}, 10)
    lists, test, _ = data.frames(spark)
    report = ranking(lists, test, k=3)
    assert asdict(report.overall[3]) == {"users": 1, **dict.fromkeys(METRICS, 1.0)}
    assert (report.catalogue, report.items[3].coverage, report.items[3].novelty) == (3, 1.0, None)
    assert report.items[3].gini == pytest.approx(0)
    assert report.by_activity == {}


def test_users_who_cannot_be_measured_are_counted(spark: SparkSession) -> None:
    lists = spark.createDataFrame([(1, 7, 1), (2, 7, 1), (None, 7, 1), (4, None, 1)], LISTS)
    test = spark.createDataFrame([(1, 7), (1, 7), (3, 7), (None, 7)], PAIRS)  # a pair twice, a user without a list
    report = ranking(lists, test, train=test, k=1)
    assert (report.measured, report.without_list, report.without_test) == (2, 1, 1)
    assert (report.overall[1].precision, report.overall[1].recall) == (0.5, 0.5)
    assert "2 users measured (1 of them without a list); 1 with a list" in str(report)


def test_nothing_recommended_and_nobody_to_measure(spark: SparkSession) -> None:
    test = spark.createDataFrame([(1, 7), (2, 8)], PAIRS)
    nothing = spark.createDataFrame([], LISTS)
    report = ranking(nothing, test, train=test)
    assert asdict(report.overall[10]) == {"users": 2, **dict.fromkeys(METRICS, 0.0)}
    assert asdict(report.items[10]) == {"coverage": 0.0, "novelty": None, "gini": None}
    nobody = ranking(spark.createDataFrame([(1, 7, 1)], LISTS), test.limit(0), catalogue=2)
    assert asdict(nobody.overall[10]) == {"users": 0, **dict.fromkeys(METRICS, None)}
    assert (nobody.measured, nobody.without_test, nobody.items[10].coverage) == (0, 1, 0.5)
    assert "–" in str(nobody)
    assert compare(nothing, nothing, test.limit(0)).scores == {}


@pytest.mark.classic
@pytest.mark.parametrize(
    "rows",
    [
        [(1, 7, 1), (1, 7, 2)],  # an item twice
        [(1, 7, 1), (1, 8, 1)],  # a rank twice
        [(1, 7, 0)],  # ranks from 0
    ],
)
def test_lists_that_are_none_are_refused(spark: SparkSession, rows: list[tuple[int, int, int]]) -> None:
    test = spark.createDataFrame([(1, 7)], PAIRS)
    lists = spark.createDataFrame(rows, LISTS)
    with pytest.raises(InputError, match=r"the lists have 1 faults: a user's ranks are 1, 2, 3"):
        ranking(lists, test)
    with pytest.raises(InputError, match="the lists have 1 faults"):
        compare(lists, lists.limit(0), test)


def test_what_does_not_go_together_is_told(spark: SparkSession) -> None:
    test = spark.createDataFrame([(1, 7)], PAIRS)
    lists = spark.createDataFrame([(1, 7, 1), (1, 8, 2)], LISTS)
    with pytest.raises(InputError, match="recommended has no column 'rank'; did you mean 'ranks'"):
        ranking(lists.withColumnRenamed("rank", "ranks"), test)
    with pytest.raises(InputError, match="test has no column 'item'"):
        ranking(lists, test.drop("item"))
    with pytest.raises(InputError, match="user is string in train and bigint in test"):
        ranking(lists, test, train=test.selectExpr("cast(user AS string) user", "item"))
    with pytest.raises(InputError, match="2 different items are recommended, but the catalogue has 1"):
        ranking(lists, test)
    with pytest.raises(SettingError, match="k=0: want"):
        ranking(lists, test, k=0)
    with pytest.raises(SettingError, match=r"activity=\(-1,\)"):
        ranking(lists, test, activity=[-1])
    with pytest.raises(SettingError, match="intervals=-1"):
        compare(lists, lists, test, intervals=-1)


def test_two_recommenders_on_the_same_users(spark: SparkSession) -> None:
    data, other = random_data(3), random_data(4)
    better = {user: [*sorted(data.test.get(user, ()))[:2], *(set(items) - data.test.get(user, set()))][:20]
              for user, items in data.lists.items()}  # fmt: skip
    lists_a, test, _ = Data(better, data.test, data.train, data.items).frames(spark)
    lists_b, _, _ = Data(other.lists, data.test, data.train, data.items).frames(spark)
    found = compare(lists_a, lists_b, test, k=5, intervals=400, seed=7)
    users = sorted(data.test)
    rows = {
        side: [plain_user(lists.get(user, []), data.test[user], 5) for user in users]
        for side, lists in (("a", better), ("b", other.lists))
    }
    assert found.users == len(users)
    for metric, score in found.scores.items():
        a, b = (np.array([row[metric] for row in rows[side]]) for side in "ab")
        assert (score.a, score.b) == pytest.approx((a.mean(), b.mean()), abs=1e-9)
        assert score.difference == pytest.approx(a.mean() - b.mean(), abs=1e-9)
        assert score.ratio == pytest.approx(a.mean() / b.mean(), abs=1e-9)
        # The interval of a mean difference by the central limit, which a bootstrap comes near to.
        spread = 1.96 * (a - b).std() / np.sqrt(len(users))
        low, high = score.difference_interval or (0, 0)
        assert low == pytest.approx(score.difference - spread, abs=0.35 * spread)
        assert high == pytest.approx(score.difference + spread, abs=0.35 * spread)
        assert score.ratio_interval is not None
        assert score.ratio_interval.low < score.ratio < score.ratio_interval.high
    assert found.scores["ndcg"].difference_interval.low > 0
    again = compare(lists_a.repartition(5), lists_b.coalesce(1), test.repartition(2), k=5, intervals=400, seed=7)
    assert again.to_dict() == found.to_dict()
    assert "nDCG" in str(found)


@pytest.mark.classic
def test_the_same_lists_do_not_differ(spark: SparkSession) -> None:
    lists, test, _ = random_data(5).frames(spark)
    for score in compare(lists, lists, test, k=3, intervals=50).scores.values():
        assert (score.difference, score.difference_interval, score.ratio_interval) == (0, (0, 0), (1, 1))
    without = compare(lists, lists.limit(0), test, k=3, intervals=0)
    assert without.scores["ndcg"].ratio is None
    assert without.scores["ndcg"].difference_interval is None


@pytest.mark.classic
def test_many_users_are_drawn_in_groups(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    lists, test, _ = random_data(6, users=300).frames(spark)
    other = lists.selectExpr("user", "item", "21 - rank AS rank").filter("rank > 0")
    one_by_one = compare(lists, other, test, k=20, intervals=300).scores["mrr"]
    monkeypatch.setattr("brightspark.core.ranking_comparison.GROUPS", 100)
    grouped = compare(lists, other, test, k=20, intervals=300).scores["mrr"]
    assert (grouped.a, grouped.b) == pytest.approx((one_by_one.a, one_by_one.b), abs=1e-9)
    assert grouped.difference_interval == pytest.approx(one_by_one.difference_interval, abs=0.02)
