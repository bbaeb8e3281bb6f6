"""Ids as small whole numbers, which trainers want: maps that are DataFrames, and joins. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.window import Window

from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BUCKETS = 1_024  # of the ids' hashes, numbered apart from each other


def number(ids: DataFrame, column: str) -> DataFrame:
    """The different ids in a column, each with its `code` (int): 0, 1, 2 and so on, without a gap.

    The code follows from the set of ids alone, whatever their order and their partitions: ids go by the bucket of their
    hash, and in it by themselves. Nulls have none. Nothing is collected, and no task sees all ids.
    """
    name = F.col(quoted(column))
    bucket = F.pmod(F.xxhash64(name), F.lit(BUCKETS))
    each = ids.select(name).filter(name.isNotNull()).distinct().withColumn("bucket", bucket)
    # A window needs a partition, or Spark warns; of these rows there are no more than buckets.
    before = Window.partitionBy(F.lit(0)).orderBy("bucket").rowsBetween(Window.unboundedPreceding, -1)
    counts = each.groupBy("bucket").agg(F.count(F.lit(1)).alias("ids"))
    starts = counts.select("bucket", F.coalesce(F.sum("ids").over(before), F.lit(0)).alias("start"))
    place = F.row_number().over(Window.partitionBy("bucket").orderBy(name)) - 1
    placed = each.withColumn("place", place).join(F.broadcast(starts), "bucket")
    return placed.select(name, (F.col("start") + F.col("place")).cast("int").alias("code"))


def coded(interactions: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """Interactions in the codes of two maps that `number` made: `user` and `item` (int) and `rating` (float).

    Columns `fold` and `place` (int), where they are there, come along. Rows whose user or item has no code are left
    out.
    """
    both = interactions.join(users.withColumnRenamed("code", "user_code"), "user").join(
        items.withColumnRenamed("code", "item_code"), "item"
    )
    more = [F.col(name).cast("int") for name in ("fold", "place") if name in interactions.columns]
    return both.select(
        F.col("user_code").alias("user"), F.col("item_code").alias("item"), F.col("rating").cast("float"), *more
    )
