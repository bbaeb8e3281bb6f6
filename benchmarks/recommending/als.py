"""From ratings on storage to written lists for every user: brightspark by implicit's ALS, and Spark's own."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import apart
from training import table

from recommending import data

USERS, ITEMS, RATINGS = 100_000, 20_000, 5_000_000
FACTORS, ITERATIONS, K = 64, 10, 10
GOALS = {("brightspark", "Spark's ALS"): 10.0}


def measure(rounds: int) -> dict[str, Any]:
    """Ratings a second, start of the session and its first job left out."""
    steps: dict[str, list[dict[str, float]]] = {}

    def run(name: str, target: str) -> float:
        path = data.ratings(USERS, ITEMS, RATINGS)
        found = apart.call(f"recommending.als:{target}", path=str(path))
        steps.setdefault(name, []).append(found)
        print(f"    learning {found['fit']:.0f} s, lists {found['lists']:.0f} s", flush=True)
        return RATINGS / (found["fit"] + found["lists"])

    contenders = {
        "brightspark": partial(run, "brightspark", "ours"),
        "Spark's ALS": partial(run, "Spark's ALS", "spark_als"),
    }
    return {**table.judged(table.rounds(contenders, rounds, "ratings/s"), "ratings/s", GOALS), "steps": steps}


def ours(path: str) -> dict[str, float]:
    """As docs/recsys.md says for ALS alone. Lists leave out what a user has rated."""
    from brightspark.recsys import HybridRecommender

    spark = _session()
    # implicit's confidence in an interaction is alpha, Spark's 1 + alpha.
    settings = {"factors": FACTORS, "iterations": ITERATIONS, "alpha": 2.0, "regularization": 0.1}
    started = time.perf_counter()
    model = HybridRecommender(parts=("als",), part_settings={"als": settings}).fit(spark.read.parquet(path))
    fitted = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as folder:
        out = f"{folder}/lists"
        model.recommend(model.known_users(spark), K, reasons=False).write.parquet(out)
        ended = time.perf_counter()
        assert spark.read.parquet(out).count() > 0.9 * K * USERS
    return {"fit": fitted - started, "lists": ended - fitted}


def spark_als(path: str) -> dict[str, float]:
    """As Spark's guide does, in its own blocks; each rating counts alike. Lists hold what a user has rated too."""
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import functions as F

    spark = _session()
    als = ALS(
        rank=FACTORS, maxIter=ITERATIONS, implicitPrefs=True, alpha=1.0, regParam=0.1, userCol="user", itemCol="item",
        ratingCol="rating", coldStartStrategy="drop",
    )  # fmt: skip
    started = time.perf_counter()
    codes = {name: F.col(name).cast("int") for name in ("user", "item")}
    ratings = spark.read.parquet(path).withColumns({**codes, "rating": F.lit(1.0)})
    model = als.fit(ratings)
    fitted = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as folder:
        lists = model.recommendForAllUsers(K).select("user", F.explode("recommendations").alias("one"))
        lists.select("user", "one.item", "one.rating").write.parquet(f"{folder}/lists")
        ended = time.perf_counter()
        assert Path(folder, "lists", "_SUCCESS").exists()
    return {"fit": fitted - started, "lists": ended - fitted}


def _session() -> Any:
    """Warm."""
    from brightspark.core.session import session

    spark = session()
    spark.range(1000).repartition(2).write.format("noop").mode("overwrite").save()
    return spark
