"""Run by test_doctor in a process of its own: doctor on two executors with their own JVMs and one core each."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pyspark

os.environ.update(
    SPARK_HOME=str(Path(pyspark.__file__).parent),
    SPARK_LOCAL_IP="127.0.0.1",
    SPARK_SCALA_VERSION="2.13",
    PYSPARK_PYTHON=sys.executable,
    SPARK_WORKER_DIR=sys.argv[1],
)


def main() -> None:
    from pyspark.sql import SparkSession

    from brightspark.core.doctor import examine

    spark = (
        SparkSession.builder.master("local-cluster[2,1,1024]")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "OFF")
        .config("spark.executorEnv.PYTHONPATH", str(Path(__file__).parents[2]))
        .config("spark.dynamicAllocation.enabled", sys.argv[2])
        .config("spark.dynamicAllocation.shuffleTracking.enabled", "true")
        .getOrCreate()
    )
    sys.stdout.write(json.dumps([asdict(one) for one in examine(spark, paths=[sys.argv[1]])]) + "\n")


main()
