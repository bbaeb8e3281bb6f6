"""Texts as a DataFrame: tables of them, or folders of text files. Knows Spark, no torch."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.listing import list_files
from brightspark.core.storage import SCHEMES, Storage, absolute
from brightspark.core.tables import format_there, read_table
from brightspark.core.transform import answers
from brightspark.core.worker import Scoring
from brightspark.nlp.files import DECODED, MAX_TEXT_BYTES, DecodingSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SUFFIXES = (".txt", ".text", ".md", ".html", ".htm")
_LOADER = "brightspark.nlp.files:load"


def read_texts(
    spark: SparkSession,
    path: str,
    *,
    format: str | None = None,
    text_col: str = "text",
    encoding: str = "utf-8",
    schemes: tuple[str, ...] = tuple(sorted(SCHEMES)),
    storage_options: Mapping[str, Any] | None = None,
) -> DataFrame:
    """The texts of a table, or those below a folder.

    A table (Parquet, CSV, JSON lines, or any `format` that the session knows) keeps its columns, of which one must be
    `text_col` (string, or binary in `encoding`). A folder gives, for files that end in one of SUFFIXES, `path`, `size`
    in bytes, `modified`, `label`, the name of the folder that a file lies in, and `text`.

    Where bytes are decoded, a byte order mark goes before `encoding`, single damaged bytes become U+FFFD, and what
    cannot be read or is no text has a null `text` and the reason in a further column `read_error`.

    Raises InputError where there is nothing at `path`, the table has no such column, or Python no such encoding.
    """
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise InputError(f"Python knows no encoding {encoding!r}; utf-8 and cp1252 are the usual ones") from None
    whole = absolute(path)  # workers have working folders of their own
    storage = Storage(schemes=frozenset(schemes), options=storage_options or {})
    opening: dict[str, Any] = {"encoding": encoding, "schemes": schemes, "storage_options": dict(storage_options or {})}
    kind = format or format_there(spark, whole, storage)
    if kind is None:
        files = list_files(spark, whole, suffixes=SUFFIXES, storage=storage)
        return _decoded(files, DecodingSettings(column="path", max_file_bytes=MAX_TEXT_BYTES, **opening))
    # What a named format reads may be no path, but a table's name.
    table = read_table(spark, path if format else whole, format=kind)
    if text_col not in table.columns:
        raise InputError(
            f"{path} has no column {text_col!r}; {did_you_mean(text_col, table.columns)}. Name the one that holds the "
            "texts with text_col="
        )
    if table.schema[text_col].dataType.typeName() != "binary":
        return table
    bytes_col = f"{text_col}_bytes"
    renamed = table.withColumnRenamed(text_col, bytes_col)
    return _decoded(renamed, DecodingSettings(column=bytes_col, **opening), text_col).drop(bytes_col)


def _decoded(df: DataFrame, settings: DecodingSettings, text_col: str = "text") -> DataFrame:
    scoring = Scoring(loader=_LOADER, artifact=None, settings=settings, columns=(settings.column,), answer_type=DECODED)
    return answers(df, scoring, {text_col: "answer.text", "read_error": "error"})
