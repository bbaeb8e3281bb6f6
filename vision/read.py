"""Images as a DataFrame: where they are and what is known of them. The workers read the bytes when they score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from brightspark.core.errors import InputError
from brightspark.core.listing import list_files
from brightspark.core.session import partitions
from brightspark.core.storage import SCHEMES, Storage, absolute
from brightspark.core.tables import file_column, format_there, read_table, with_whole_paths

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".bmp",
    ".dib",
    ".webp",
    ".tif",
    ".tiff",
    ".gif",
    ".dcm",
    ".dicom",
)


def read_images(
    spark: SparkSession,
    path: str,
    *,
    format: str | None = None,
    schemes: tuple[str, ...] = tuple(sorted(SCHEMES)),
    storage_options: Mapping[str, Any] | None = None,
) -> DataFrame:
    """The images below a folder, or those of a table.

    A folder gives `path`, `size` in bytes, `modified` and `label`, the name of the folder that an image lies in, for
    files that end in one of SUFFIXES: DICOM files without an ending are for `read_dicom`, videos for `read_video`, and
    neither is in the list. A table (Parquet, CSV, JSON lines, or any `format` that the session knows) keeps
    its columns, of which one must be `path` (string; relative ones are below the folder that holds the table) or
    `content` (the encoded image). A table of paths is spread over `spark.sql.shuffle.partitions` partitions.

    Raises InputError where there is nothing at `path`, or a table has neither column.
    """
    whole = absolute(path)  # workers have working folders of their own
    storage = Storage(schemes=frozenset(schemes), options=storage_options or {})
    kind = format or format_there(spark, whole, storage)
    if kind is None:
        return list_files(spark, whole, suffixes=SUFFIXES, storage=storage)
    # What a named format reads may be no path, but a table's name.
    table = read_table(spark, path if format else whole, format=kind)
    column = file_column(table)
    if column == "content":
        return table
    if column is None:
        raise InputError(
            f"{path} has neither a column 'path' nor 'content'; there are {', '.join(map(repr, table.columns))}: "
            "rename the one that holds the images"
        )
    return with_whole_paths(table, whole.rpartition("/")[0]).repartition(partitions(spark), "path")
