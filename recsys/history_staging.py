"""Each user's items in one row, written where the ranks of a training read them. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.window import Window

from brightspark.core.persisted import persisted
from brightspark.core.stage import stage
from brightspark.core.storage import absolute
from brightspark.recsys.histories import TRAINING, VALIDATION, Histories
from brightspark.recsys.staged import StagedInteractions
from brightspark.recsys.staging import read_staged

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARTS = 10_000  # into which users' hashes fall


def stage_histories(
    spark: SparkSession,
    staged: StagedInteractions,
    path: str,
    *,
    max_history: int = 1_000,
    validation_share: float = 0.0,
    seed: int = 0,
    overwrite: bool = False,
) -> Histories:
    """Writes the staged interactions once more, a row a user, to a folder that all executors see.

    Of a user with more than `max_history` items those with the smallest hashes are taken, and users fall to validation
    by their hash: the same rows give the same files, in any number of partitions. Features stay where they are.

    Raises InputError where histories are staged at `path` already and `overwrite` is not set, and where all users fall
    to validation.
    """
    path = absolute(path).rstrip("/")
    rows = read_staged(spark, staged.interactions.manifest).select("user", "item")
    by_chance = Window.partitionBy("user").orderBy(F.xxhash64(F.lit(seed), "user", "item"), "item")
    drawn = rows.withColumn("place", F.row_number().over(by_chance)).filter(F.col("place") <= max_history)
    histories = drawn.groupBy("user").agg(F.sort_array(F.collect_list("item")).alias("items"))
    held_out = F.pmod(F.xxhash64(F.lit(seed), F.lit(VALIDATION), "user"), F.lit(PARTS)) < round(
        validation_share * PARTS
    )
    with persisted(histories) as held:
        # The order of the rows is the users': a training's own order begins with it.
        sides = {TRAINING: held.filter(~held_out), VALIDATION: held.filter(held_out)}
        paths = {
            name: stage(side.orderBy("user").select("items"), f"{path}/{name}", overwrite=overwrite).path
            for name, side in sides.items()
            if name == TRAINING or (validation_share and not side.isEmpty())
        }
    features = None if staged.features is None else staged.features.manifest.path
    return Histories(staged.shape[1], paths[TRAINING], paths.get(VALIDATION), features)
