"""Run by test_deaths in a process of its own: a driver that trains on two executors with their own JVMs.

Says `step N` for each snapshot. Called as `training_script.py FOLDER`, with `run.json` in the folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyspark

ROOT = Path(__file__).parents[2]
FOLDER = Path(sys.argv[1])

os.environ.update(
    SPARK_HOME=str(Path(pyspark.__file__).parent),
    SPARK_LOCAL_IP="127.0.0.1",
    SPARK_SCALA_VERSION="2.13",
    PYSPARK_PYTHON=sys.executable,
    SPARK_WORKER_DIR=str(FOLDER.parent / f"workers-{os.getpid()}"),
)


def main() -> None:
    from pyspark.sql import SparkSession

    from brightspark.core.launch import train
    from brightspark.core.run import Run

    spark = (
        SparkSession.builder.master("local-cluster[2,1,1024]")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .config("spark.executorEnv.PYTHONPATH", str(ROOT))
        .config("spark.executorEnv.BRIGHTSPARK_CACHE", os.environ["BRIGHTSPARK_CACHE"])
        .getOrCreate()
    )
    train(spark, Run.open(FOLDER))


main()
