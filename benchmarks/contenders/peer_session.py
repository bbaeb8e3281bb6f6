"""The Spark session that the peers on Spark share: Spark's own settings, or those for many small files."""

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
}
PACKED = {
    # Without these a partition is counted as 4 MB a file: 190 partitions for 6,000 images of 60 kB.
    "spark.sql.files.openCostInBytes": "0",
    "spark.sql.files.maxPartitionBytes": "2g",
}


def start(job: Job, *, batch: int | None) -> SparkSession:
    """A local session with as many slots as cores, and `batch` rows an Arrow batch; None: Spark's own settings."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["OMP_NUM_THREADS"] = "1"
    builder = SparkSession.builder.master(f"local[{job.cores}]")
    tuned = {} if batch is None else {**PACKED, "spark.sql.execution.arrow.maxRecordsPerBatch": str(batch)}
    for name, value in {**CONFIG, **tuned}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def read(spark: SparkSession, folder: Path, *, partitions: int | None) -> DataFrame:
    """The files of a folder with `path` and `content`, in so many partitions; None: as Spark cuts them."""
    files = spark.read.format("binaryFile")
    if partitions is None:
        return files.load(str(folder)).select("path", "content")
    spark.conf.set("spark.sql.files.minPartitionNum", str(partitions))
    return files.load(str(folder)).select("path", "content").coalesce(partitions)


def write_nowhere(frame: DataFrame) -> None:
    """Compute every row and column of `frame`, and drop them."""
    frame.write.format("noop").mode("overwrite").save()


def answers(frame: DataFrame) -> dict[str, int]:
    """Class number by file name of a DataFrame with `path` and `answer.prediction`."""
    return {Path(row.path).name: row.prediction for row in frame.select("path", "answer.prediction").collect()}
