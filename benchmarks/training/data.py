"""What the parts read: staged once by `stage`, kept outside the checkout."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import apart
import images
import pyarrow as pa

RECORD_BYTES = 50_000
NUMBERS = 16  # columns of numbers, beside a label


def records(count: int) -> Path:
    """So many records of `id` and 50,000 bytes that do not shrink, staged."""
    return _staged(f"records-{count}", "training.data:stage_records", count=count)


def numbers(count: int) -> Path:
    """So many rows of 16 doubles and a label, staged."""
    return _staged(f"numbers-{count}", "training.data:stage_numbers", count=count)


def pictures(count: int) -> Path:
    """So many JPEGs of 500×375 with one of ten labels, staged."""
    return _staged(f"pictures-{count}", "training.data:stage_pictures", count=count)


def _staged(name: str, target: str, **settings: int) -> Path:
    folder = images.cache() / f"staged-{name}"
    if not (folder / "manifest.json").exists():
        print(f"  staging {name}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        apart.call(target, folder=str(folder), **settings)
    return folder


def stage_records(folder: str, count: int) -> None:
    from brightspark.core.session import session
    from brightspark.core.stage import stage

    def random_bytes(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np

        for batch in batches:
            for start in range(0, batch.num_rows, 100):
                ids = batch.column(0).slice(start, 100)
                content = [np.random.default_rng(number).bytes(RECORD_BYTES) for number in ids.to_pylist()]
                yield pa.RecordBatch.from_arrays([ids, pa.array(content, pa.binary())], ["id", "content"])

    spark = session()
    stage(spark.range(0, count, 1, 4).mapInArrow(random_bytes, "id long, content binary"), folder)
    spark.stop()


def stage_numbers(folder: str, count: int) -> None:
    from pyspark.sql import functions as F

    from brightspark.core.session import session
    from brightspark.core.stage import stage

    spark = session()
    columns = [F.rand(number).alias(f"x{number}") for number in range(NUMBERS)]
    stage(spark.range(0, count, 1, 4).select(*columns, (F.col("id") % 2).alias("label")), folder)
    spark.stop()


def stage_pictures(folder: str, count: int) -> None:
    from pyspark.sql import functions as F

    from brightspark.core.session import session
    from brightspark.core.stage import stage

    spark = session()
    files = spark.read.format("binaryFile").load(str(images.image_folder(count)))
    number = F.regexp_extract("path", r"(\d+)\.jpg$", 1).cast("long")
    stage(files.select("content", (number % 10).alias("label")), folder)
    spark.stop()
