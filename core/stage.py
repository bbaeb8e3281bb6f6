"""A DataFrame written once as Parquet shards that every rank of a training can read."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.errors import BudgetError, InputError, one_line
from brightspark.core.manifest import Manifest, describe_shard, read_manifest, write_manifest
from brightspark.core.remote import on_a_worker
from brightspark.core.storage import Storage, absolute, list_folder, remove_folder, split_scheme
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Observation, SparkSession

_log = logging.getLogger(__name__)

FOOTER_THREADS = 16  # that read them: on an object store each is a round trip or two
ROW_GROUP_BYTES = 32 << 20  # what a reader holds at least
_WRITING = {
    # Pictures and recordings do not shrink, and a row group's bound counts what is left after compression.
    "compression": "uncompressed",
    # So is a column of few values: a node's copy has none, and is to be as large as the footers say.
    "parquet.enable.dictionary": "false",
    # Spark's writer asks for the size of a row group after so many rows: its own 100 may be gigabytes of pictures.
    "parquet.block.size": str(ROW_GROUP_BYTES),
    "parquet.block.size.row.check.min": "1",
    "parquet.page.size.row.check.min": "1",
}


def stage(
    df: DataFrame, path: str, *, overwrite: bool = False, error: str | None = None, max_errors: int = 0
) -> Manifest:
    """Writes a DataFrame once, as Parquet shards and a manifest in a folder that all executors and ranks see.

    The rows go into a folder of their own below `path`, the manifest is written last: who opens the path sees all of
    an earlier staging, all of this one, or nothing. A Spark ML vector becomes an array of doubles, a map an array of
    its entries.

    `error` names a column that says why a row cannot be used: such rows are left out, counted in the manifest, and the
    column is not stored.

    Raises InputError where something is staged at `path` already and `overwrite` is not set (a plan cannot tell
    whether its input was changed since), where there are no rows, or where a column cannot be stored; BudgetError
    where more than `max_errors` rows have an error. Then nothing is staged.
    """
    path = absolute(path).rstrip("/")
    spark = df.sparkSession
    before = on_a_worker(spark, partial(_staged, path))
    if before and not overwrite:
        raise InputError(
            f"{before['rows']:,} rows are staged at {path} already: train on them (Shards.open), name another path, "
            "or stage with overwrite=True"
        )
    folder = f"data-{uuid.uuid4().hex[:12]}"
    columns = {field.name: field.dataType.simpleString() for field in df.schema if field.name != error}
    try:
        good, failed = (df, None) if error is None else _without_failed(df, error)
        written = _write(_storable(good), f"{path}/{folder}")
        errors = _check_errors(failed, written.rows, max_errors, path)
        if not written.rows:
            raise InputError(f"there are no rows to stage at {path}")
        said = on_a_worker(spark, partial(_finish, path, folder, columns, written, errors))
    except BaseException:
        _forget(spark, f"{path}/{folder}")
        raise
    if before:
        _forget(spark, f"{path}/{before['folder']}")
    return Manifest.of(path, said)


def _storable(df: DataFrame) -> DataFrame:
    """The columns as Parquet and Arrow both know them."""
    from pyspark.ml.functions import vector_to_array

    twice = [name for name in df.columns if [other.lower() for other in df.columns].count(name.lower()) > 1]
    if twice:
        raise InputError(f"the column {twice[0]!r} is there more than once: drop or rename one of them")
    columns = []
    for field in df.schema:
        kind = field.dataType.typeName()
        if kind in ("void", "variant"):
            raise InputError(f"the column {field.name!r} is {kind}, which cannot be staged: drop it, or cast it")
        column = F.col(quoted(field.name))
        if kind == "map":  # which has no order, so that Spark refuses to hash it, and no form in a batch
            column = F.array_sort(F.map_entries(column))
        columns.append((vector_to_array(column) if kind == "vectorudt" else column).alias(field.name))
    return df.select(*columns)


@dataclass(frozen=True)
class _Written:
    rows: int
    row_hash: str


def _write(df: DataFrame, path: str) -> _Written:
    """Writes the rows; their number and their hash, taken on the way."""
    from pyspark.sql import Observation

    observation = Observation("stage")
    hashed = F.xxhash64(*[F.col(quoted(name)) for name in df.columns])
    halves = (hashed.bitwiseAND(F.lit(0xFFFFFFFF)), F.shiftrightunsigned(hashed, 32))
    sums = [F.sum(half.cast("decimal(20,0)")).alias(name) for half, name in zip(halves, ("low", "high"), strict=True)]
    observed = df.observe(observation, F.count(F.lit(1)).alias("rows"), *sums)
    observed.write.options(**_WRITING).parquet(spark_path(path))
    counted = observation.get
    rows = int(counted["rows"])
    return _Written(rows, f"{int(counted['low']):024x}{int(counted['high']):024x}" if rows else "")


def spark_path(path: str) -> str:
    """A path as Spark is to read it: one without a scheme is a local file, whatever Spark's default file system is."""
    scheme, plain = split_scheme(path)
    return f"file://{plain}" if scheme == "file" else path


def _without_failed(df: DataFrame, error: str) -> tuple[DataFrame, Observation]:
    from pyspark.sql import Observation

    seen, reason = Observation("failed"), F.col(quoted(error))
    # Where Spark knows beforehand that no reason is null, as of a literal, it plans nothing below the filter, and what
    # observes is gone. What hangs on a row's number it does not work out beforehand (of `rand() >= 0` it does).
    opaque = df.withColumn(error, F.when(F.monotonically_increasing_id() >= 0, reason))
    observed = opaque.observe(seen, F.count(reason).alias("failed"), F.min(reason).alias("reason"))
    return observed.filter(reason.isNull()).drop(error), seen


def _check_errors(seen: Observation | None, good: int, most: int, path: str) -> int:
    """How many rows were left out; raises where they are too many, or all there are."""
    if seen is None or not seen.get["failed"]:
        return 0
    failed, reason = int(seen.get["failed"]), seen.get["reason"]
    if not good:
        raise InputError(f"none of {failed:,} rows can be read; one of them: {reason}")
    told = f"{failed:,} of {failed + good:,} rows cannot be read"
    if failed > most:
        raise BudgetError(f"{told}, more than the {most:,} that are allowed; one of them: {reason}")
    _log.warning("%s and take no part in what is staged at %s; one of them: %s", told, path, reason)
    return failed


# What a worker does.


def _staged(path: str) -> dict[str, Any] | None:
    manifest = read_manifest(path)
    if manifest is None:
        return None
    return {"rows": manifest.rows, "folder": manifest.shards[0].name.partition("/")[0]}


def _finish(path: str, folder: str, columns: Mapping[str, str], written: _Written, failed: int) -> dict[str, Any]:
    """Writes the manifest of the shards in a folder, as their own footers describe them; its content."""
    _, files = list_folder(Storage(), f"{path}/{folder}")
    with ThreadPoolExecutor(FOOTER_THREADS) as pool:
        described = list(pool.map(describe_shard, [file.path for file in files if file.path.endswith(".parquet")]))
    # An empty partition leaves an empty file.
    shards = tuple(sorted((shard for shard in described if shard.rows), key=lambda shard: shard.name))
    found = sum(shard.rows for shard in shards)
    if found != written.rows:
        raise InputError(
            f"{written.rows:,} rows were written to {path}, but {found:,} are there: does another job write?"
        )
    manifest = Manifest(path=path, rows=found, failed=failed, row_hash=written.row_hash, columns=columns, shards=shards)
    write_manifest(manifest)
    content: dict[str, Any] = json.loads(manifest.to_json())
    return content


def _forget(spark: SparkSession, folder: str) -> None:
    """Removes a folder that nothing leads to any more; where that fails, the log says so."""
    try:
        on_a_worker(spark, partial(remove_folder, folder))
    except Exception as error:
        _log.warning("%s is not needed any more, but could not be removed: %s", folder, one_line(error))
