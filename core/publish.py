"""Writes answers: good rows here, failed rows there, and nothing when too many failed. Each row is scored once.

The two writes at the end are Spark's own: its overwrite deletes first, and what it writes to a folder appears file by
file where the storage cannot rename. Who must never see that names a `format` that commits (Delta, Iceberg).
"""

from __future__ import annotations

import logging
import math
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from brightspark.core.errors import BudgetError, InputError, SettingError, did_you_mean, one_line
from brightspark.core.remote import on_a_worker
from brightspark.core.storage import absolute, is_inside, remove_folder
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

    The rows are scored once, into a hidden folder beside `path`. When more than `max_error_rate` (0 to 1) of them
    failed, BudgetError is raised, nothing is at `path` or `quarantine`, and what was scored stays in that folder: the
    message names it, and how to publish it after all. `format` is any that the session knows; `mode` is Spark's: error,
    overwrite, append.

    Raises InputError where there is something at `path` or `quarantine` already (mode error), or one of them lies in
    the other, before any work.
    """
    _check(scored, path, quarantine, max_error_rate=max_error_rate, error=error, mode=mode)
    spark = scored.sparkSession
    if mode == "error":
        refuse_existing(spark, path, quarantine)
    staged, staging = _stage(scored, path)
    failed = F.col(quoted(error)).isNotNull()
    rows, errors = staged.agg(F.count("*"), F.count_if(failed)).first() or (0, 0)
    if rows and errors / rows > max_error_rate:
        enough = math.ceil(1000 * errors / rows) / 1000
        raise BudgetError(
            f"{errors:,} of {rows:,} rows failed, more than the {max_error_rate:.2%} that are allowed; nothing was "
            f"published. {_reasons(staged.filter(failed), error)}. What was scored is kept: "
            f"publish(spark.read.parquet({staging!r}), …, max_error_rate={enough}) publishes it without scoring again"
        )
    save = partial(_save, format=format, mode=mode)
    # The good rows last: where they are, everything is.
    save(
        staged.filter(failed),
        quarantine,
        otherwise=f"nothing is published; what was scored is kept: publish(spark.read.parquet({staging!r}), …)",
    )
    good = f"spark.read.parquet({staging!r}).filter({quoted(error) + ' is null'!r})"
    save(
        staged.filter(~failed),
        path,
        otherwise=f"the failed rows are in {quarantine} already, the good ones still to be written: "
        f"{good}.write.format({format!r}).mode({mode!r}).save({path!r})",
    )
    left = _remove(spark, staging)
    if left is not None:
        _log.warning("the published rows are complete, but %s could not be deleted: %s", staging, left)
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


def refuse_replacing(source: str, *paths: str) -> None:
    """Raises InputError for the first path that is the source of the rows or a folder around it.

    Spark's overwrite deletes a whole folder before it writes, whatever is in it: the pictures too.
    """
    for path in paths:
        if is_inside(absolute(source), absolute(path)):
            raise InputError(f"{path} holds {source}, which to overwrite it would delete; name another folder")


def _check(scored: DataFrame, path: str, quarantine: str, *, max_error_rate: float, error: str, mode: str) -> None:
    if not 0 <= max_error_rate <= 1:
        raise SettingError(f"max_error_rate={max_error_rate} must be between 0 and 1")
    if mode not in ("error", "overwrite", "append"):
        raise SettingError(f"mode={mode!r} is unknown; {did_you_mean(mode, ['error', 'overwrite', 'append'])}")
    if error not in scored.columns:
        raise InputError(f"the table has no column {error!r}; {did_you_mean(error, scored.columns)}")
    good, bad = absolute(path), absolute(quarantine)
    if is_inside(good, bad) or is_inside(bad, good):
        raise InputError(
            f"path={path!r} and quarantine={quarantine!r} must be two folders, neither in the other: good and failed "
            "rows would be read as one table"
        )


def _stage(scored: DataFrame, path: str) -> tuple[DataFrame, str]:
    """The rows, scored once into a folder beside `path`, and the address of that folder."""
    parent, slash, name = path.rstrip("/").rpartition("/")
    # Hidden by a dot from who reads the parent; a name with `=` in it (`_date=2024-01-01…`) is not hidden by `_`.
    staging = f"{parent}{slash}.{name}.scored-{uuid.uuid4().hex[:12]}"
    spark = scored.sparkSession
    try:
        scored.write.parquet(staging)
    except Exception as failure:
        left = _remove(spark, absolute(staging))
        if left is not None:
            failure.add_note(f"what was scored until then may be left in {staging} ({left})")
        raise
    staged = spark.read.parquet(staging)
    # Where a path without a scheme leads, only Spark knows: its default storage need not be local.
    return staged, unquote(staged.inputFiles()[0]).rpartition("/")[0]


def _save(rows: DataFrame, target: str, *, format: str, mode: str, otherwise: str) -> None:
    """Writes rows; where that fails, the error gets a note: `otherwise`, what is done and what to do."""
    try:
        rows.write.format(format).mode(mode).save(target)
    except Exception as failure:
        failure.add_note(f"{otherwise}. First delete what the failed write has left in {target}, if anything")
        raise


def _reasons(failed: DataFrame, error: str) -> str:
    counted = failed.groupBy(F.col(quoted(error)).alias("reason")).count()
    first = counted.orderBy(F.desc("count"), "reason").limit(_SHOWN_ERRORS).collect()
    return "The most frequent reasons: " + "; ".join(f"{row['count']:,} × {row['reason']}" for row in first)


def _remove(spark: SparkSession, folder: str) -> str | None:
    """Deletes a folder on a worker, which sees the storage that it was written to; says why, where it cannot."""
    try:
        there = on_a_worker(spark, partial(remove_folder, folder))
    except Exception as error:  # Spark's, and what each store's client raises
        return one_line(error)
    return None if there else "the workers see no such folder"
