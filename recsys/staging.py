"""Interactions written once, in codes, where a trainer in one process reads them. Knows Spark, no torch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from brightspark.core.errors import InputError
from brightspark.core.manifest import Manifest, read_manifest
from brightspark.core.persisted import persisted
from brightspark.core.remote import on_a_worker
from brightspark.core.shards import Shards
from brightspark.core.stage import spark_path, stage
from brightspark.core.storage import absolute, remove_folder
from brightspark.recsys.codes import coded, number
from brightspark.recsys.columns import id_column
from brightspark.recsys.features import check_unique
from brightspark.recsys.staged import FEATURES, INTERACTIONS, ITEMS, USERS, StagedInteractions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def stage_interactions(
    interactions: DataFrame,
    path: str,
    *,
    items: DataFrame | None = None,
    features: DataFrame | None = None,
    overwrite: bool = False,
) -> StagedInteractions:
    """Writes what `interactions` made to a folder that all executors see, in codes for users and items.

    With `items`, a table with a column `item`, those that nobody has rated get codes as well, and can be recommended
    from what is known of them; an item that only the interactions know has its code in any case.

    `features` has `item` and `features`, as `brightspark.recsys.features.encode` gives them; its items get codes too.

    `overwrite` deletes what was staged at `path` before, and nothing else there, and then writes: all parts go
    together, since codes of one staging mean nothing in another.

    Raises InputError where something is staged at `path` already and `overwrite` is not set, where there are no
    interactions, where ids of items are texts in one table and numbers in another, and where an item has features
    twice.
    """
    path = absolute(path).rstrip("/")
    catalogue = _catalogue(interactions, items, features)
    if features is not None:
        check_unique(features)
    with persisted(interactions) as rows:
        if overwrite:
            if rows.isEmpty():
                raise InputError(f"there are no interactions to stage at {path}: what is there stays")
            on_a_worker(rows.sparkSession, partial(_forget, path))
        users = stage(number(rows, "user"), f"{path}/{USERS}")
        known = stage(number(catalogue, "item"), f"{path}/{ITEMS}")
        rows = coded(rows, read_staged(rows.sparkSession, users), read_staged(rows.sparkSession, known))
        encoded = None if features is None else _stage_features(features, known, f"{path}/{FEATURES}")
        return StagedInteractions(Shards(users), Shards(known), Shards(stage(rows, f"{path}/{INTERACTIONS}")), encoded)


def _forget(path: str) -> None:
    """Deletes what is staged at a path, what tells that it is whole first."""
    for name in (INTERACTIONS, FEATURES, ITEMS, USERS):
        if read_manifest(f"{path}/{name}") is not None:
            remove_folder(f"{path}/{name}")


def _catalogue(interactions: DataFrame, *tables: DataFrame | None) -> DataFrame:
    """All items there are."""
    found = interactions.select(id_column(interactions, "item", "item").alias("item"))
    for table in tables:
        if table is None:
            continue
        known = table.select(id_column(table, "item", "item").alias("item"))
        kinds = [each.schema["item"].dataType.simpleString() for each in (found, known)]
        if kinds[0] != kinds[1]:
            raise InputError(
                f"an item is {kinds[0]} among the interactions and {kinds[1]} among the items: cast one of them, so "
                "that both name the same items"
            )
        found = found.union(known)
    return found


def _stage_features(features: DataFrame, items: Manifest, path: str) -> Shards:
    """The features by the items' codes, in their order."""
    codes = read_staged(features.sparkSession, items)
    rows = features.select("item", F.col("features").cast("array<float>").alias("features")).join(codes, "item")
    return Shards(stage(rows.select(F.col("code").alias("item"), "features").orderBy("item"), path))


def read_staged(spark: SparkSession, staged: Manifest) -> DataFrame:
    """What was staged, as Spark reads it."""
    folder = staged.shards[0].name.partition("/")[0]
    return spark.read.parquet(spark_path(f"{staged.path}/{folder}"))
