"""Splits: nothing on two sides, nothing lost, the same whatever the partitions, and shares as they are asked for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError
from brightspark.recsys import splits

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    Pair = tuple[int, int]

START = datetime(2020, 1, 1, tzinfo=UTC)
SPLITS: dict[str, Callable[[DataFrame], tuple[DataFrame, ...]]] = {
    "last": splits.leave_last_out,
    "user": splits.random_by_user,
    "item": splits.stratified_by_item,
    "time": splits.by_time,
    "users": splits.hold_out_users,
    "items": splits.hold_out_items,
}


@pytest.fixture(scope="module")
def times() -> dict[Pair, int | None]:
    """Pairs of user and item, each with the minute at which it happened; some at the same one, some without."""
    draw = np.random.default_rng(0)
    pairs = {
        (int(user), int(item)) for user, item in zip(draw.integers(0, 60, 900), draw.integers(0, 40, 900), strict=True)
    }
    pairs |= {(1000, 0), (0, 1000)}  # a user and an item with a single row
    return {pair: None if place % 17 == 0 else int(draw.integers(0, 100)) for place, pair in enumerate(sorted(pairs))}


@pytest.fixture(scope="module")
def rows(spark: SparkSession, times: dict[Pair, int | None]) -> DataFrame:
    made = [
        (*pair, None if minute is None else START + timedelta(minutes=minute), "kept") for pair, minute in times.items()
    ]
    return spark.createDataFrame(made, "user long, item long, timestamp timestamp, more string").persist()


def sides(parts: tuple[DataFrame, ...]) -> dict[Pair, int]:
    """On which side each pair stands; it fails where one stands on two."""
    for part in parts:
        assert part.columns == ["user", "item", "timestamp", "more"]
    marked = [part.select("user", "item", F.lit(place).alias("side")) for place, part in enumerate(parts)]
    all_rows = marked[0]
    for part in marked[1:]:
        all_rows = all_rows.union(part)
    found = [((int(user), int(item)), side) for user, item, side in all_rows.collect()]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize("name", SPLITS)
def test_no_row_is_lost_and_partitions_change_nothing(rows: DataFrame, times: dict[Pair, Any], name: str) -> None:
    split = SPLITS[name]
    found = sides(split(rows))
    assert set(found) == set(times)
    assert len(set(found.values())) > 1
    texts = rows.withColumns({"user": F.col("user").cast("string"), "item": F.col("item").cast("string")})
    assert sides(split(texts.repartition(7).orderBy(F.desc("more"), F.desc("item")))) == found


@pytest.mark.classic
@pytest.mark.parametrize("name", ["last", "user", "item", "users", "items"])
def test_another_seed_draws_others(rows: DataFrame, name: str) -> None:
    split: Any = SPLITS[name]
    assert sides(split(rows, seed=1)) != sides(split(rows, seed=0))


def grouped(found: dict[Pair, int], place: int) -> dict[int, Counter[int]]:
    groups: dict[int, Counter[int]] = defaultdict(Counter)
    for pair, side in found.items():
        groups[pair[place]][side] += 1
    return groups


@pytest.mark.classic
@pytest.mark.parametrize(("name", "place"), [("user", 0), ("item", 1)])
@pytest.mark.parametrize("share", [0.25, 0.9])
def test_each_group_gives_its_share(rows: DataFrame, name: str, place: int, share: float) -> None:
    split: Any = SPLITS[name]
    for group, counts in grouped(sides(split(rows, test_share=share)), place).items():
        total = counts[0] + counts[1]
        assert counts[0] >= 1, group
        assert abs(counts[1] - share * total) <= 0.5 or counts[0] == 1, group


def test_halves_of_a_row_learn(spark: SparkSession) -> None:
    two = spark.createDataFrame([(1, 1), (2, 1)], "user long, item long")
    train, test = splits.stratified_by_item(two, test_share=0.25)
    assert (train.count(), test.count()) == (2, 0)


@pytest.mark.classic
@pytest.mark.parametrize("last", [1, 3])
def test_the_latest_rows_of_a_user_are_left_out(rows: DataFrame, times: dict[Pair, int | None], last: int) -> None:
    found = sides(splits.leave_last_out(rows, last=last))
    for user, counts in grouped(found, 0).items():
        total = counts[0] + counts[1]
        assert counts[1] == (last if total > last else 0), user
    earliest: dict[int, list[int]] = defaultdict(list)
    for pair, side in found.items():
        if side == 1:
            earliest[pair[0]].append(-1 if times[pair] is None else times[pair])
    for pair, side in found.items():
        if side == 0 and pair[0] in earliest:
            assert (-1 if times[pair] is None else times[pair]) <= min(earliest[pair[0]])


@pytest.mark.classic
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.97])
def test_a_moment_parts_the_rows(rows: DataFrame, times: dict[Pair, int | None], share: float) -> None:
    found = sides(splits.by_time(rows, test_share=share))
    minutes = sorted(minute for minute in times.values() if minute is not None)
    moment = minutes[-round(len(minutes) * share)]
    for pair, minute in times.items():
        assert found[pair] == int(minute is not None and minute >= moment)


def test_a_moment_can_be_named(rows: DataFrame, times: dict[Pair, int | None]) -> None:
    found = sides(splits.by_time(rows, at=START + timedelta(minutes=40)))
    assert found == {pair: int(minute is not None and minute >= 40) for pair, minute in times.items()}


def test_times_that_part_nothing_are_told(spark: SparkSession) -> None:
    same = spark.createDataFrame([(1, 1, START), (2, 1, START)], "user long, item long, timestamp timestamp")
    with pytest.raises(InputError, match="too many of 2 rows have the earliest timestamp"):
        splits.by_time(same)
    with pytest.raises(InputError, match="no row has a timestamp"):
        splits.by_time(same.withColumn("timestamp", F.lit(None).cast("timestamp")))
    with pytest.raises(InputError, match="no column 'timestamp'"):
        splits.leave_last_out(same.drop("timestamp"))


def test_users_are_held_out_whole_and_told_by_a_few_items(rows: DataFrame) -> None:
    few, more = (sides(splits.hold_out_users(rows, test_share=0.3, fold_in=count)) for count in (2, 5))
    for found, given in ((few, 2), (more, 5)):
        groups = grouped(found, 0)
        cold = [user for user, counts in groups.items() if not counts[0]]
        assert 8 <= len(cold) <= 30  # about 0.3 of 61
        for user in cold:
            counts = groups[user]
            assert counts[1] == min(given, counts[1] + counts[2]), user
        assert all(counts == {0: counts[0]} for user, counts in groups.items() if user not in cold)
    assert {pair for pair, side in few.items() if side == 1} < {pair for pair, side in more.items() if side == 1}


def test_items_are_held_out_whole_if_they_have_enough_rows(rows: DataFrame) -> None:
    found = sides(splits.hold_out_items(rows, test_share=0.4, min_ratings=5))
    groups = grouped(found, 1)
    out = [item for item, counts in groups.items() if counts[1]]
    assert 8 <= len(out) <= 25  # about 0.4 of 41
    assert all(not groups[item][0] and groups[item][1] >= 5 for item in out)
    assert sides(splits.hold_out_items(rows, test_share=0.999, min_ratings=5))[(0, 1000)] == 0


@pytest.mark.classic
@pytest.mark.parametrize(
    "split",
    [
        lambda rows: splits.random_by_user(rows, test_share=1),
        lambda rows: splits.stratified_by_item(rows, test_share=0),
        lambda rows: splits.by_time(rows, test_share=-1),
        lambda rows: splits.hold_out_users(rows, test_share=2),
        lambda rows: splits.hold_out_users(rows, fold_in=-1),
        lambda rows: splits.hold_out_items(rows, test_share=1),
        lambda rows: splits.leave_last_out(rows, last=0),
    ],
)
def test_settings_that_cannot_be_are_told(rows: DataFrame, split: Callable[[DataFrame], Any]) -> None:
    with pytest.raises(SettingError, match="must"):
        split(rows)
