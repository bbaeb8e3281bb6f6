"""Folders of files as a DataFrame: what is there, never what is in it. The workers list, and the workers open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from brightspark.core.errors import InputError
from brightspark.core.session import partitions
from brightspark.core.storage import Entry, Storage, absolute, list_folder, walk

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SCHEMA = "path string, size long, modified timestamp, label string, is_folder boolean"
_ARROW = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("modified", pa.timestamp("us", tz="UTC")),
        ("label", pa.string()),
        ("is_folder", pa.bool_()),
    ]
)
_ROWS = 1_000


def list_files(
    spark: SparkSession, folder: str, *, suffixes: Sequence[str], storage: Storage | None = None
) -> DataFrame:
    """The files below a folder: `path`, `size` in bytes, `modified`, and `label`, the name of the folder each lies in.

    The label of a file that lies in `folder` itself is null. Only names that end in one of `suffixes` (in any case)
    are listed; hidden files and folders (`.x`, `_x`) are not, as in Spark's own readers. The list is made anew by each
    action, on the workers; write or cache it to keep it. It comes in as many partitions as
    `spark.sql.shuffle.partitions` says, each path always in the same one.

    Raises InputError where there is no such folder; with Spark Connect, whose server may see other storage than this
    client, the first action raises.
    """
    from pyspark.sql.utils import is_remote

    storage = storage or Storage()
    folder = absolute(folder)
    storage.check(folder)
    if not is_remote():
        _check_folder(folder, storage)
    tasks = partitions(spark)
    endings = tuple(suffix.lower() for suffix in suffixes)

    def top(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for root in batch.column(0).to_pylist():
                yield from _listing([list_folder(storage, root)], endings, top=True)

    def below(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = [batch.column(field.name).cast(field.type) for field in _ARROW]
            files = pa.RecordBatch.from_arrays(columns, schema=_ARROW)
            yield files.filter(pc.invert(files.column("is_folder")))
            for path, is_folder in zip(
                *(batch.column(name).to_pylist() for name in ("path", "is_folder")), strict=True
            ):
                if is_folder:
                    yield from _listing(walk(storage, path), endings)

    return (
        spark.createDataFrame([(folder,)], "folder string")
        .mapInArrow(top, _SCHEMA)
        .repartition(tasks, "path")
        .mapInArrow(below, _SCHEMA)
        .drop("is_folder")
        # Folders differ in size, and a table of paths is too small for Spark to split by itself.
        .repartition(tasks, F.col("path"))
    )


def _check_folder(folder: str, storage: Storage) -> None:
    try:
        list_folder(storage, folder)
    except OSError as error:
        raise InputError(str(error)) from error


def _listing(
    listed: Iterable[tuple[list[str], list[Entry]]], endings: tuple[str, ...], *, top: bool = False
) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, object]] = []
    for folders, files in listed:
        if top:
            rows += [{"path": _utf8(path), "is_folder": True} for path in folders]
        for file in files:
            if file.path.lower().endswith(endings):
                rows.append(_row(file, None if top else file.path.split("/")[-2]))
            if len(rows) >= _ROWS:
                yield pa.RecordBatch.from_pylist(rows, _ARROW)
                rows = []
    yield pa.RecordBatch.from_pylist(rows, _ARROW)


def _row(file: Entry, label: str | None) -> dict[str, object]:
    return {
        "path": _utf8(file.path),
        "size": file.size,
        "modified": None if file.modified is None else int(file.modified * 1_000_000),
        "label": label and _utf8(label),
        "is_folder": False,
    }


def _utf8(name: str) -> str:
    """A name that a table can hold. Linux allows any bytes; such a file keeps its row, and opening it says why not."""
    return name.encode("utf-8", "replace").decode()
