"""Images as a DataFrame: where they are and what is known of them. The workers read the bytes when they score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.errors import InputError
from brightspark.core.listing import list_files
from brightspark.core.session import partitions
from brightspark.core.storage import SCHEMES, Storage
from brightspark.core.tables import read_table, table_format

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
    files that end in one of SUFFIXES. A table (Parquet, CSV, JSON lines, or any `format` that the session knows) keeps
    its columns, of which one must be `path` (string; relative ones are below the folder that holds the table) or
    `content` (the encoded image). A table of paths is spread over `spark.sql.shuffle.partitions` partitions.

    Raises InputError where there is nothing at `path`, or a table has neither column.
    """
    kind = format or table_format(path)
    if kind is None:
        storage = Storage(schemes=frozenset(schemes), options=storage_options or {})
        return list_files(spark, path, suffixes=SUFFIXES, storage=storage)
    table = read_table(spark, path, format=kind)
    if "content" in table.columns:
        return table
    if "path" not in table.columns:
        raise InputError(
            f"{path} has neither a column 'path' nor 'content'; there are {', '.join(map(repr, table.columns))}: "
            "rename the one that holds the images"
        )
    folder = path.rstrip("/").rpartition("/")[0] or "."
    return with_whole_paths(table, folder).repartition(partitions(spark), "path")


def with_whole_paths(table: DataFrame, folder: str) -> DataFrame:
    """The table with each relative `path` below `folder`."""
    absolute = F.col("path").rlike("^(/|[A-Za-z][A-Za-z0-9+.-]*:)")
    whole = F.when(absolute, F.col("path")).otherwise(F.concat_ws("/", F.lit(folder), "path"))
    return table.withColumn("path", F.when(F.col("path").isNotNull(), whole))
