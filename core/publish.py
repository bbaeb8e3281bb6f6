"""Writes answers so that nobody sees half of them: good rows here, failed rows there, nothing when too many failed."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from brightspark.core.errors import BudgetError, InputError, SettingError, did_you_mean
from brightspark.core.storage import absolute, remove_folder
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_log = logging.getLogger(__name__)

_SHOWN_ERRORS = 5


@dataclass(frozen=True)
class Published:
    """What was written."""

    rows: int
    errors: int
    path: str
    quarantine: str


def publish(
    scored: DataFrame,
    path: str,
    quarantine: str,
    *,
    max_error_rate: float = 0.01,
    error: str = "error",
    format: str = "parquet",
    mode: str = "error",
) -> Published:
    """Writes the rows that have an answer to `path`, and those with an `error` to `quarantine`.

    The rows are scored once, into a folder beside `path`. When more than `max_error_rate` (0 to 1) of them failed,
    BudgetError is raised, nothing is at `path` or `quarantine`, and what was scored stays in that folder: the message
    names it, and how to publish it after all. `format` is any that the session knows; `mode` is Spark's: error,
    overwrite, append.

    Raises InputError where there is something at `path` or `quarantine` already (mode error), or one of them lies in
    the other, before any work.
    """
    if not 0 <= max_error_rate <= 1:
        raise SettingError(f"max_error_rate={max_error_rate} must be between 0 and 1")
    if mode not in ("error", "overwrite", "append"):
        raise SettingError(f"mode={mode!r} is unknown; {did_you_mean(mode, ['error', 'overwrite', 'append'])}")
    if error not in scored.columns:
        raise InputError(f"the table has no column {error!r}; {did_you_mean(error, scored.columns)}")
    _refuse_nested(path, quarantine)
    spark = scored.sparkSession
    if mode == "error":
        refuse_existing(spark, path, quarantine)
    staging = f"{absolute(path).rstrip('/')}.scored-{uuid.uuid4().hex[:12]}"
    scored.write.parquet(staging)
    staged = spark.read.parquet(staging)
    failed = F.col(quoted(error)).isNotNull()
    rows, errors = staged.agg(F.count("*"), F.count_if(failed)).first() or (0, 0)
    if errors > max_error_rate * rows:
        enough = math.ceil(1000 * errors / rows) / 1000
        raise BudgetError(
            f"{errors:,} of {rows:,} rows failed, more than the {max_error_rate:.2%} that are allowed; nothing was "
            f"published. {_reasons(staged.filter(failed), error)}. What was scored is kept: "
            f"publish(spark.read.parquet({staging!r}), …, max_error_rate={enough}) publishes it without scoring again"
        )
    try:
        # The good rows last: where they are, everything is.
        for part, target in ((staged.filter(failed), quarantine), (staged.filter(~failed), path)):
            part.write.format(format).mode(mode).save(target)
    except Exception as failure:
        failure.add_note(f"what was scored is kept in {staging}: publish(spark.read.parquet({staging!r}), …)")
        raise
    _remove(spark, staging)
    return Published(rows=rows, errors=errors, path=path, quarantine=quarantine)


def refuse_existing(spark: SparkSession, *paths: str) -> None:
    """Raises InputError for the first path at which there is something already."""
    for path in paths:
        try:
            _ = spark.read.format("binaryFile").load(path).schema
        except AnalysisException as error:
            if "PATH_NOT_FOUND" in str(error):
                continue
            raise
        raise InputError(f"{path} exists already; name another path, or ask for overwrite")


def _refuse_nested(path: str, quarantine: str) -> None:
    good, bad = (f"{absolute(one).rstrip('/')}/" for one in (path, quarantine))
    if good.startswith(bad) or bad.startswith(good):
        raise InputError(
            f"path={path!r} and quarantine={quarantine!r} must be two folders, neither in the other: good and failed "
            "rows would be read as one table"
        )


def _reasons(failed: DataFrame, error: str) -> str:
    counted = failed.groupBy(F.col(quoted(error)).alias("reason")).count()
    first = counted.orderBy(F.desc("count"), "reason").limit(_SHOWN_ERRORS).collect()
    return "The most frequent reasons: " + "; ".join(f"{row['count']:,} × {row['reason']}" for row in first)


def _remove(spark: SparkSession, folder: str) -> None:
    """Deletes the staging folder on a worker, which sees the storage that it was written to."""

    def remove(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for path in batch.column(0).to_pylist():
                remove_folder(path)
            yield batch

    try:
        spark.createDataFrame([(folder,)], "folder string").mapInArrow(remove, "folder string").collect()
    except Exception as error:
        _log.warning("the published rows are complete, but %s could not be deleted: %s", folder, error)
