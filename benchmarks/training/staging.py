"""`stage` against Spark's own Parquet write of the same DataFrame: 50,000 records of 50 KB read from Parquet."""

from __future__ import annotations

import shutil
import time
from typing import Any

import apart
import images

from training import data, table

ROWS, GOAL = 50_000, 0.9


def measure(rounds: int) -> dict[str, Any]:
    rates = apart.call("training.staging:session_of", rounds=rounds, folder=str(data.records(ROWS)))
    return table.judged(
        {name: {int(number): rate for number, rate in some.items()} for name, some in rates.items()},
        "records/s",
        {("stage", "Spark's Parquet write"): GOAL},
    )


def session_of(rounds: int, folder: str) -> dict[str, dict[int, float]]:
    """All rounds in one session, after a write of each to warm up."""
    from brightspark.core.session import session
    from brightspark.core.stage import stage

    spark = session()
    df = spark.read.parquet(f"{folder}/data-*")
    out = images.cache() / "staging"

    def rate(write: Any) -> float:
        shutil.rmtree(out, ignore_errors=True)
        began = time.perf_counter()
        write()
        return ROWS / (time.perf_counter() - began)

    def staged() -> float:
        return rate(lambda: stage(df, str(out)))

    def written() -> float:
        return rate(lambda: df.write.parquet(str(out)))

    def written_as_we_do() -> float:
        return rate(lambda: df.write.option("compression", "uncompressed").parquet(str(out)))

    contenders = {
        "stage": staged,
        "Spark's Parquet write": written,
        "Spark's Parquet write, uncompressed": written_as_we_do,
    }
    for contender in contenders.values():
        contender()
    try:
        return table.rounds(contenders, rounds, "records/s")
    finally:
        shutil.rmtree(out, ignore_errors=True)
        spark.stop()
