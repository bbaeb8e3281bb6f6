"""Tables from paths: Parquet, CSV, JSON lines, or any other format that the session knows by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.errors import InputError
from brightspark.core.storage import Storage, list_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
             ".orc": "orc"}  # fmt: skip
_CSV = {"header": "true", "inferSchema": "true", "multiLine": "true", "escape": '"'}
_OPTIONS = {"csv": _CSV, "tsv": {**_CSV, "sep": "\t"}}


def table_format(path: str) -> str | None:
    """The format of a table by its path's ending, or by what lies in the folder; None where it looks like no table.

    >>> table_format("s3://bucket/scores.parquet"), table_format("/data/photographs.jsonl")
    ('parquet', 'json')
    """
    by_name = _by_suffix(path.rstrip("/"))
    if by_name is not None:
        return by_name
    try:
        folders, files = list_folder(Storage(), path)
    except OSError:
        return None
    if folders:  # Hive's partitions (day=2026-01-01) hold a table; other subfolders hold files
        partitions = not files and all("=" in folder.rpartition("/")[2] for folder in folders)
        return table_format(folders[0]) if partitions else None
    found = {_by_suffix(file.path) for file in files}
    return found.pop() if len(found) == 1 else None


def _by_suffix(path: str) -> str | None:
    return next((name for suffix, name in _SUFFIXES.items() if path.lower().endswith(suffix)), None)


def read_table(spark: SparkSession, path: str, *, format: str | None = None) -> DataFrame:
    """A table as a DataFrame; CSV and TSV with a header.

    Raises InputError where the format cannot be told from the path.
    """
    name = format or table_format(path)
    if name is None:
        raise InputError(
            f"{path} does not look like a table ({', '.join(_SUFFIXES)}); say what it is by format=, for example "
            "format='parquet'"
        )
    known = "csv" if name == "tsv" else name
    return spark.read.format(known).options(**_OPTIONS.get(name, {})).load(path)
