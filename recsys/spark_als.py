"""ALS by Spark itself, for what outgrows a machine: only its vectors come into this process. Knows Spark, no torch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from pyspark.ml.recommendation import ALS
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from brightspark.core.manifest import read_manifest
from brightspark.core.shards import Shards
from brightspark.core.stage import stage
from brightspark.recsys import parts
from brightspark.recsys.factors import SparkAls, SparkAlsSettings, spark_als_bytes
from brightspark.recsys.hybrid import Hybrid
from brightspark.recsys.hybrid_training import Learned, equal_weights
from brightspark.recsys.part import Floats, check_memory
from brightspark.recsys.popularity import Popularity
from brightspark.recsys.staging import read_staged

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.recsys.fit_settings import HybridFitSettings
    from brightspark.recsys.staged import StagedInteractions

INSTEAD = "Give it more by max_bytes where the machine has it, set fewer factors, or learn from fewer users"


def learn_by_spark(
    spark: SparkSession, staged: StagedInteractions, fit: HybridFitSettings, path: str, why: str
) -> Learned:
    """Learns the part `spark_als` alone from what was staged; `why` is why all others are left out.

    Each interaction counts alike. What Spark has computed stays staged at `path`, where the same call finds it again.

    Raises InputError where vectors and histories would take more than `max_bytes` of this process.
    """
    settings: SparkAlsSettings = fit.of_part(SparkAls.name)
    started = time.perf_counter()
    users, items = staged.shape
    needed = spark_als_bytes(users, items, len(staged.interactions), settings)
    check_memory(f"reading the vectors of {users:,} users and {items:,} items", needed, settings.max_bytes, INSTEAD)
    rows = read_staged(spark, staged.interactions.manifest)
    learned = {name: f"{path}/{name}" for name in ("user_factors", "item_factors")}
    if any(read_manifest(folder) is None for folder in learned.values()):
        model = _estimator(settings).fit(rows.select("user", "item", F.lit(1.0).cast("float").alias("rating")))
        for of, folder in zip((model.userFactors, model.itemFactors), learned.values(), strict=True):
            stage(of.select("id", F.col("features").cast("array<float>")), folder, overwrite=True)
    of_users, of_items = _vectors(learned["user_factors"], users), _vectors(learned["item_factors"], items)
    histories = _histories(rows, f"{path}/histories", (users, items))
    counts = np.bincount(histories.indices, minlength=items).astype(np.float32)
    # implicit's confidence in an interaction is alpha, Spark's 1 + alpha.
    part = SparkAls(of_users, of_items, 1 + settings.alpha, settings.regularization)
    hybrid = Hybrid([part], equal_weights(1), Popularity(counts), fit.candidates)
    left_out = {name: why for name in parts.KINDS if name != part.name}
    return Learned(hybrid, {part.name: time.perf_counter() - started}, left_out, histories)


def _estimator(settings: SparkAlsSettings) -> ALS:
    return ALS(
        rank=settings.factors,
        maxIter=settings.iterations,
        regParam=settings.regularization,
        alpha=settings.alpha,
        implicitPrefs=True,
        numUserBlocks=settings.blocks,
        numItemBlocks=settings.blocks,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
        seed=settings.seed,
    )


def _vectors(path: str, count: int) -> Floats:
    """By their codes; 0 for what has no interaction."""
    table = Shards.open(path).table(["id", "features"])
    width = len(table.column("features")[0])
    found = np.zeros((count, width), dtype=np.float32)
    for batch in table.to_batches():
        found[batch.column("id").to_numpy()] = batch.column("features").flatten().to_numpy().reshape(-1, width)
    return found


def _histories(rows: DataFrame, path: str, shape: tuple[int, int]) -> csr_matrix:
    """Users × items, written by Spark in the order of users and of their time, and read as it is."""
    if read_manifest(path) is None:
        stage(rows.select("user", "item", "place").orderBy("user", "place", "item").select("user", "item"), path)
    table = Shards.open(path).table(["user", "item"])
    counts = np.bincount(table.column("user").to_numpy(), minlength=shape[0])
    items = table.column("item").to_numpy()
    return csr_matrix((np.ones(len(items), dtype=np.float32), items, np.concatenate([[0], counts.cumsum()])), shape)
