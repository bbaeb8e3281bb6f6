"""Interactions parted into those to learn from and those to be measured on. Knows Spark, no torch.

Which side a row is on follows from its ids, its time and the seed alone: the same rows always fall alike, whatever
their order, their partitions, and the type of their ids. All functions read the columns `user` and `item`, of which
each pair stands once (`interactions` sees to that), and keep every other column. Each side reads the rows anew: persist
or write them before.

"At random" is by a hash of (seed, user, item). A share of n rows is rounded to a whole number, halves in favour of
training, and one row at least is left to learn from.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as F
from pyspark.sql.window import Window

from brightspark.core.errors import InputError, SettingError, did_you_mean
from brightspark.core.persisted import persisted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_PARTS = 1_000_003  # of a hash: a prime
_BUCKETS = 1_000  # of time, that are counted at once


class Split(NamedTuple):
    """Two parts of a table, which have no row in common and together are all of it."""

    train: DataFrame
    test: DataFrame


class ColdUsers(NamedTuple):
    """Three parts of a table, which have no row in common and together are all of it."""

    train: DataFrame
    """without the users that are held out"""
    given: DataFrame
    """what a recommender is told of these users"""
    test: DataFrame
    """what it is measured on"""


def leave_last_out(interactions: DataFrame, *, last: int = 1, seed: int = 0) -> Split:
    """The `last` rows of each user by `timestamp` are the test.

    Of rows at the same moment chance decides, and a row without a timestamp counts as older than all others. Users with
    no more than `last` rows learn only.

    Raises InputError for a column that is missing, SettingError for a `last` below 1.
    """
    if last < 1:
        raise SettingError(f"last={last} must be at least 1")
    _check(interactions, "timestamp")
    order = [F.col("timestamp").desc_nulls_last(), *_by_chance(seed)]
    return _split(interactions, "user", order, _if_more_than(last))


def random_by_user(interactions: DataFrame, *, test_share: float = 0.25, seed: int = 0) -> Split:
    """A share of each user's rows, drawn at random, is the test.

    Raises InputError for a column that is missing, SettingError for a share that is none.
    """
    _check(interactions)
    return _split(interactions, "user", _by_chance(seed), _share(test_share))


def stratified_by_item(interactions: DataFrame, *, test_share: float = 0.25, seed: int = 0) -> Split:
    """A share of each item's rows, drawn at random, is the test: every item can be learned.

    Raises InputError for a column that is missing, SettingError for a share that is none.
    """
    _check(interactions)
    return _split(interactions, "item", _by_chance(seed), _share(test_share))


def by_time(interactions: DataFrame, *, test_share: float = 0.2, at: datetime | None = None) -> Split:
    """What happened from one moment on is the test: `at`, or the latest moment that leaves `test_share` of the rows.

    Rows of the same moment stay together, so that the test may be larger than its share. Rows without a timestamp
    learn. The moment of a share is found exactly, in a few aggregations.

    Raises InputError for a column that is missing, where no row has a timestamp, and where a share would leave nothing
    to learn from, since too many rows have the earliest one; SettingError for a share that is none.
    """
    _check(interactions, "timestamp")
    moment = F.lit(at) if at is not None else F.timestamp_micros(F.lit(_moment(interactions, test_share)))
    tested = F.coalesce(F.col("timestamp") >= moment, F.lit(False))
    return Split(interactions.filter(~tested), interactions.filter(tested))


def hold_out_users(interactions: DataFrame, *, test_share: float = 0.2, fold_in: int = 5, seed: int = 0) -> ColdUsers:
    """Users drawn at random take no part in training; of each, `fold_in` rows drawn at random are given.

    A user falls by the hash of its id, so that the share is met about, and a user falls alike whoever else is there.
    The rows given for a smaller `fold_in` are among those for a larger one. A user with no more than `fold_in` rows has
    no test.

    Raises InputError for a column that is missing, SettingError for a share that is none or a negative `fold_in`.
    """
    if fold_in < 0:
        raise SettingError(f"fold_in={fold_in} must not be negative")
    _check(interactions)
    out = _falls_out("user", test_share, seed)
    place = F.row_number().over(Window.partitionBy("user").orderBy(*_by_chance(seed)))
    cold = interactions.filter(out).withColumn("_place", place)
    given = F.col("_place") <= fold_in
    return ColdUsers(interactions.filter(~out), cold.filter(given).drop("_place"), cold.filter(~given).drop("_place"))


def hold_out_items(interactions: DataFrame, *, test_share: float = 0.1, min_ratings: int = 5, seed: int = 0) -> Split:
    """Items drawn at random, of those with `min_ratings` rows or more, are the test with all their rows.

    An item falls by the hash of its id, so that the share is met about.

    Raises InputError for a column that is missing, SettingError for a share that is none.
    """
    _check(interactions)
    rows = interactions.withColumn("_rows", F.count(F.lit(1)).over(Window.partitionBy("item")))
    out = _falls_out("item", test_share, seed) & (F.col("_rows") >= min_ratings)
    return Split(rows.filter(~out).drop("_rows"), rows.filter(out).drop("_rows"))


def _check(interactions: DataFrame, *more: str) -> None:
    for name in ("user", "item", *more):
        if name not in interactions.columns:
            raise InputError(f"the table has no column {name!r}; {did_you_mean(name, interactions.columns)}")


def _check_share(test_share: float) -> None:
    if not 0 < test_share < 1:
        raise SettingError(f"test_share={test_share} must be between 0 and 1")


def _hash(seed: int, *names: str) -> Column:
    """The same for 7 and "7", so that a table falls alike however its ids are stored."""
    return F.xxhash64(F.lit(seed), *[F.col(name).cast("string") for name in names])


def _by_chance(seed: int) -> list[Column]:
    return [_hash(seed, "user", "item"), F.col("user"), F.col("item")]


def _falls_out(name: str, test_share: float, seed: int) -> Column:
    _check_share(test_share)
    # Not the hash that orders a user's rows: it would order them alike in every user that falls out.
    return F.pmod(_hash(seed, name), F.lit(_PARTS)) < F.lit(round(test_share * _PARTS))


def _share(test_share: float) -> Column:
    """How many of a group's `_rows` are tested."""
    _check_share(test_share)
    rows = F.col("_rows")
    return F.least(F.ceil(rows * F.lit(test_share) - 0.5), rows - 1)


def _if_more_than(last: int) -> Column:
    return F.when(F.col("_rows") > last, last).otherwise(0)


def _split(interactions: DataFrame, group: str, order: list[Column], tested: Column) -> Split:
    """The first `tested` rows of each group are the test."""
    everyone = Window.partitionBy(group)
    rows = interactions.withColumn("_place", F.row_number().over(everyone.orderBy(*order)))
    rows = rows.withColumn("_rows", F.count(F.lit(1)).over(everyone))
    falls = F.col("_place") <= tested
    return Split(rows.filter(~falls).drop("_place", "_rows"), rows.filter(falls).drop("_place", "_rows"))


def _moment(interactions: DataFrame, test_share: float) -> int:
    """The latest moment, in microseconds since 1970, from which on there are `test_share` of the rows."""
    _check_share(test_share)
    with persisted(interactions.select(F.unix_micros("timestamp").alias("at")).filter("at is not null")) as times:
        rows, first, last = times.agg(F.count(F.lit(1)), F.min("at"), F.max("at")).collect()[0]
        if not rows:
            raise InputError("no row has a timestamp: draw the test at random instead, by user or by item")
        moment = _ranked(times, first, last, max(1, round(rows * test_share)))
    if moment == first:
        raise InputError(
            f"too many of {rows:,} rows have the earliest timestamp: a test_share of {test_share} leaves nothing to "
            "learn from. Name the moment with at=, or draw the test at random, by user or by item"
        )
    return moment


def _ranked(times: DataFrame, low: int, high: int, wanted: int) -> int:
    """The `wanted`-latest of the times, which lie from `low` to `high`."""
    while low < high:  # each round looks into the bucket that holds it
        width = (high - low) // _BUCKETS + 1
        behind = F.col("at") - F.lit(low)
        bucket = ((behind - F.pmod(behind, F.lit(width))) / width).cast("long").alias("bucket")
        counts = times.filter(F.col("at").between(low, high)).groupBy(bucket).count().collect()
        for place, count in sorted(counts, reverse=True):
            if count >= wanted:
                low, high = low + place * width, min(high, low + (place + 1) * width - 1)
                break
            wanted -= count
    return low
