"""Run by test_cluster in a process of its own: two executors with their own JVMs, folders and caches."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pyspark

ROOT = Path(__file__).parents[2]
WORK = Path(sys.argv[1])

os.environ.update(
    SPARK_HOME=str(Path(pyspark.__file__).parent),
    SPARK_LOCAL_IP="127.0.0.1",
    SPARK_SCALA_VERSION="2.13",
    PYSPARK_PYTHON=sys.executable,
    SPARK_WORKER_DIR=str(WORK / "workers"),
)


def main() -> None:
    from pyspark.sql import SparkSession

    from tests.core.logged import BUCKET, SCHEME, fetched
    from tests.core.toy import ToyModel

    bucket = WORK / "bucket"
    bucket.mkdir()
    os.environ[BUCKET] = str(bucket)
    spark = (
        SparkSession.builder.master("local-cluster[2,2,1024]")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .config("spark.executorEnv.PYTHONPATH", str(ROOT))
        .config("spark.executorEnv.BRIGHTSPARK_CACHE", "own-cache")  # relative: below each executor's own folder
        .config(f"spark.executorEnv.{BUCKET}", str(bucket))
        .getOrCreate()
    )
    table = spark.createDataFrame([(f"text {number}",) for number in range(400)], "text string").repartition(16)

    gone = ToyModel.make(WORK / "model")
    scored = gone.transform(table)
    (WORK / "model").rename(WORK / "renamed")
    answered = scored.filter("error is null").count()

    (bucket / "models").mkdir()
    remote = f"{SCHEME}://models/toy"
    other = ToyModel.make(WORK / "other", ["n", "e", "s", "w"], predict_seconds=0.05)
    other.save(remote)
    loaded = ToyModel.load(remote)
    for log in bucket.glob("fetched-*"):
        log.unlink()
    workers = loaded.transform(table).filter("error is null").count()
    sys.stdout.write(json.dumps({"answered": answered, "from_uri": workers, "fetched": fetched(bucket)}) + "\n")


main()
