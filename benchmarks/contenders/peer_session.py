"""The Spark session that the peers on Spark share, set as Spark's documentation says for such work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from contenders.job import Job

CONFIG = {
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Without these a partition is counted as 4 MB a file: 190 partitions for 6,000 images of 60 kB.
    "spark.sql.files.openCostInBytes": "0",
    "spark.sql.files.maxPartitionBytes": "2g",
}


def start(job: Job, *, batch: int) -> SparkSession:
    """A local session with as many slots as cores, and `batch` rows an Arrow batch."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["OMP_NUM_THREADS"] = "1"
    builder = SparkSession.builder.master(f"local[{job.cores}]")
    for name, value in CONFIG.items():
        builder = builder.config(name, value)
    spark = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", str(batch)).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def read(spark: SparkSession, folder: Path, *, partitions: int) -> DataFrame:
    """The files of a folder with `path` and `content`, in so many partitions."""
    spark.conf.set("spark.sql.files.minPartitionNum", str(partitions))
    return spark.read.format("binaryFile").load(str(folder)).select("path", "content").coalesce(partitions)


def write_nowhere(frame: DataFrame) -> None:
    """Compute every row and column of `frame`, and drop them."""
    frame.write.format("noop").mode("overwrite").save()


def answers(frame: DataFrame) -> dict[str, int]:
    """Class number by file name of a DataFrame with `path` and `answer.prediction`."""
    return {Path(row.path).name: row.prediction for row in frame.select("path", "answer.prediction").collect()}
