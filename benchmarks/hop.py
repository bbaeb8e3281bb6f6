"""The hop into Python: rows per second through an iterator `arrow_udf` and an iterator `pandas_udf`.

Run `python benchmarks/hop.py`. The model is trivial (a slice of ready numbers), so that the hop is what is
timed: a path, or an encoded image, goes in; `struct<prediction string, probability array<float>>` comes out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import machine
import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from ratios import ratio, spread

CLASSES = 1000
ANSWER = "struct<prediction string, probability array<float>>"
ANSWER_TYPE = pa.struct([("prediction", pa.string()), ("probability", pa.list_(pa.float32()))])
IMAGE_BYTES = 60_000
RESULT = Path(__file__).parent / "results" / "hop.json"


def score(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The trivial model: `count` class numbers and `count` × 1000 probabilities, float32."""
    probabilities = np.full((count, CLASSES), 1 / CLASSES, dtype=np.float32)
    probabilities[np.arange(count), np.arange(count) % CLASSES] = 0.5
    return probabilities.argmax(axis=1), probabilities


def arrow_hop(column: Column) -> Column:
    """Answers as one Arrow struct array a batch."""

    def answers(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        labels = pa.array([f"class {number}" for number in range(CLASSES)])
        for batch in batches:
            classes, probabilities = score(len(batch))
            offsets = pa.array(np.arange(len(batch) + 1, dtype=np.int32) * CLASSES)
            yield pa.StructArray.from_arrays(
                [labels.take(pa.array(classes)), pa.ListArray.from_arrays(offsets, probabilities.ravel())],
                type=ANSWER_TYPE,
            )

    return F.arrow_udf(answers, ANSWER).asNondeterministic()(column)


def pandas_hop(column: Column) -> Column:
    """Answers as one pandas DataFrame a batch."""

    def answers(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        labels = np.array([f"class {number}" for number in range(CLASSES)], dtype=object)
        for batch in batches:
            classes, probabilities = score(len(batch))
            yield pd.DataFrame({"prediction": labels[classes], "probability": list(probabilities)})

    return F.pandas_udf(answers, ANSWER).asNondeterministic()(column)


HOPS = {"arrow_udf": arrow_hop, "pandas_udf": pandas_hop}


def rows(spark: SparkSession, kind: str, count: int, partitions: int) -> DataFrame:
    """`count` rows with a column `value`: a path, or `IMAGE_BYTES` of binary, different in every row."""
    ids = spark.range(0, count, 1, partitions)
    if kind == "path":
        return ids.select(F.format_string("file:/data/images/%012d.jpg", "id").alias("value"))
    filler = F.repeat(F.format_string("%08d", "id"), F.lit(IMAGE_BYTES // 8))
    return ids.select(filler.cast("binary").alias("value"))


def seconds(frame: DataFrame, hop: str) -> float:
    """Seconds of one no-op write of the answers of `frame`."""
    answered = frame.select("value", HOPS[hop](F.col("value")).alias("answer"))
    start = time.perf_counter()
    answered.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - start


def measure(spark: SparkSession, kind: str, count: int, rounds: int, cores: int) -> dict[str, dict[int, float]]:
    """Rows per second by hop and round; the hops take turns in going first."""
    frame = rows(spark, kind, count, partitions=2 * cores)
    rates: dict[str, dict[int, float]] = {hop: {} for hop in HOPS}
    for hop in HOPS:
        # The first call starts workers and compiles the plan.
        seconds(rows(spark, kind, count // 10, partitions=2 * cores), hop)
    for number in range(rounds):
        for hop in list(HOPS)[:: 1 if number % 2 == 0 else -1]:
            rates[hop][number] = count / seconds(frame, hop)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--paths", type=int, default=40_000, help="rows of the path case")
    parser.add_argument("--images", type=int, default=8_000, help="rows of the 60 KB case")
    parser.add_argument("--batch", type=int, default=256, help="rows per Arrow batch")
    options = parser.parse_args()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    cores = len(os.sched_getaffinity(0))
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "2g")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", str(options.batch))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    described = machine.describe()
    print(machine.headline(described))
    print(f"{options.rounds} rounds, {options.batch} rows a batch, {CLASSES} probabilities a row")
    result: dict[str, object] = {"machine": described, "settings": vars(options)}
    for kind, count in (("path", options.paths), ("binary", options.images)):
        rates = measure(spark, kind, count, options.rounds, cores)
        compared = ratio(rates["arrow_udf"], rates["pandas_udf"])
        for hop in HOPS:
            print(f"{kind:>6} → {hop:<10} {spread(list(rates[hop].values())).median:>10,.0f} rows/s")
        print(f"{kind:>6}: arrow_udf / pandas_udf {compared}")
        result[kind] = {"rows": count, "rows_per_second": rates, "arrow_to_pandas": compared}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    spark.stop()


if __name__ == "__main__":
    main()
