"""Tables from paths: Parquet, CSV, JSON lines, or any other format that the session knows by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, StorageError, did_you_mean
from brightspark.core.storage import Storage, absolute, list_folder
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
             ".orc": "orc"}  # fmt: skip
_CSV = {"header": "true", "inferSchema": "true", "multiLine": "true", "escape": '"'}
_OPTIONS = {"csv": _CSV, "tsv": {**_CSV, "sep": "\t"}}


def table_format(path: str, storage: Storage | None = None) -> str | None:
    """The format of a table by its path's ending, or by what lies in the folder; None where it looks like no table.

    Raises StorageError where there is a folder but it cannot be listed.

    >>> table_format("s3://bucket/scores.parquet"), table_format("/data/photographs.jsonl")
    ('parquet', 'json')
    """
    by_name = _by_suffix(path.rstrip("/"))
    if by_name is not None:
        return by_name
    try:
        folders, files = list_folder(storage or Storage(), path)
    except StorageError as error:
        if error.__cause__ is not None:  # else it is not there, a file, or not allowed
            raise
        return None
    if folders:  # Hive's partitions (day=2026-01-01) hold a table; other subfolders hold files
        partitions = not files and all("=" in folder.rpartition("/")[2] for folder in folders)
        return table_format(folders[0], storage) if partitions else None
    found = {_by_suffix(file.path) for file in files}
    return found.pop() if len(found) == 1 else None


def format_there(spark: SparkSession, path: str, storage: Storage) -> str | None:
    """`table_format` as the workers see it: behind Spark Connect there may be other storage than here."""
    from pyspark.sql.utils import is_remote

    if _by_suffix(path.rstrip("/")) is not None or not is_remote():
        return table_format(path, storage)

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            formats = [table_format(folder, storage) for folder in batch.column(0).to_pylist()]
            yield pa.RecordBatch.from_pydict({"format": pa.array(formats, pa.string())})

    (row,) = spark.createDataFrame([(path,)], "folder string").mapInArrow(look, "format string").collect()
    return str(row["format"]) if row["format"] else None


def _by_suffix(path: str) -> str | None:
    return next((name for suffix, name in _SUFFIXES.items() if path.lower().endswith(suffix)), None)


def read_table(spark: SparkSession, path: str, *, format: str | None = None) -> DataFrame:
    """A table as a DataFrame; CSV and TSV with a header.

    A relative path is below this process's working folder, where Spark's server or JVM may stand elsewhere; only with
    a `format` other than these files' it is Spark's own matter, since it may be a table's name.

    Raises InputError where the format cannot be told from the path.
    """
    whole = absolute(path)
    name = format or format_there(spark, whole, Storage())
    if name is None:
        raise InputError(
            f"{path} does not look like a table ({', '.join(_SUFFIXES)}); say what it is by format=, for example "
            "format='parquet'"
        )
    known = "csv" if name == "tsv" else name
    if known in _SUFFIXES.values():
        return spark.read.format(known).options(**_OPTIONS.get(name, {})).load(whole)
    try:
        table = spark.read.format(known).load(path)
        _ = table.schema  # Spark Connect asks its server not before
    except Exception as error:
        if "DATA_SOURCE_NOT_FOUND" in str(error):
            raise InputError(
                f"this session knows no format {known!r}; {did_you_mean(known, _SUFFIXES.values())}, or give Spark the "
                "package of that format"
            ) from error
        raise
    return table


def with_whole_paths(table: DataFrame, folder: str) -> DataFrame:
    """The table with each relative `path` below `folder`."""
    is_whole = F.col("path").rlike("^(/|[A-Za-z][A-Za-z0-9+.-]*:)")
    whole = F.when(is_whole, F.col("path")).otherwise(F.concat_ws("/", F.lit(folder.rstrip("/")), "path"))
    return table.withColumn("path", F.when(F.col("path").isNotNull(), whole))


def file_column(df: DataFrame) -> str | None:
    """The column of files: `content` where it can be their bytes, else `path`; None where there is neither.

    Beside paths a text called `content` is a caption, or a description.
    """
    if "path" in df.columns and ("content" not in df.columns or kind_of(df, "content") != "binary"):
        return "path"
    return "content" if "content" in df.columns else None


def kind_of(df: DataFrame, name: str) -> str:
    """The type of a column in Spark's words: string, binary, long…"""
    return df.select(quoted(name)).schema[0].dataType.typeName()
