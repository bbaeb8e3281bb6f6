"""Calls a function in one Spark task, since the storage of the executors may not be the driver's (Spark Connect)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from brightspark.core.errors import BrightsparkError, InputError, one_line

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def on_a_worker(spark: SparkSession, work: Callable[[], Any]) -> Any:
    """What `work` returns there, as JSON carries it.

    Raises InputError with the words of an error of brightspark's; what else `work` raises fails the job.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            try:
                said = {"result": work()}
            except BrightsparkError as error:
                said = {"error": one_line(error, limit=2_000)}
            yield pa.RecordBatch.from_pydict({"said": pa.array([json.dumps(said)])})

    (row,) = spark.range(0, 1, 1, 1).mapInArrow(run, "said string").collect()
    said = json.loads(row["said"])
    if "error" in said:
        raise InputError(said["error"])
    return said["result"]
