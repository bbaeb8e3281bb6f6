"""Recordings as a DataFrame: where they are and what is known of them. The workers read them when they score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.errors import InputError, one_line
from brightspark.core.listing import list_files
from brightspark.core.session import partitions
from brightspark.core.storage import SCHEMES, Storage, absolute, file_system
from brightspark.core.tables import format_there, read_table, with_whole_paths
from brightspark.core.transform import answers, quoted
from brightspark.core.worker import Scoring
from brightspark.speech.columns import audio_column
from brightspark.speech.kinds import FOREIGN_SUFFIXES, SUFFIXES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

REFERENCE = "reference"  # what was said, beside `text`, what a model heard
_LISTED = ("path", "size", "modified", "label")
_FACTS = ("rate", "channels", "duration", "format", "encoding")


def read_audio(
    spark: SparkSession,
    path: str,
    *,
    manifest: str | None = None,
    format: str | None = None,
    schemes: tuple[str, ...] = tuple(sorted(SCHEMES)),
    storage_options: Mapping[str, Any] | None = None,
) -> DataFrame:
    """The recordings below a folder, those of a table, or a single one.

    A folder gives `path`, `size` in bytes, `modified` and `label`, the name of the folder that a recording lies in
    (often who speaks, or the word that is said), for files that end in one of SUFFIXES. Files of FOREIGN_SUFFIXES, as
    `.m4a`, are in the list, too: nobody reads them here, and their `error` says what to do. Videos are not.

    A `manifest` says what is said in a folder's recordings: a table of `path` (relative ones are below the folder) and
    any other columns, usually `text`, which becomes `reference`, since `text` is what a model answers. Nothing is lost
    in between: a recording that it does not name keeps its row, with null `reference`; a line whose file is not there
    keeps its row, with null `size`, and scoring it says so. A recording that has several lines has several rows.
    Columns that both have are the manifest's.

    A table (Parquet, CSV, JSON lines, or any `format` that the session knows) keeps its columns, of which one must be
    `path` (string; relative ones are below the folder that holds the table) or `content` (the encoded recording). A
    table of paths, and a folder with a manifest, is spread over `spark.sql.shuffle.partitions` partitions. A single
    recording gives its `path`.

    Raises InputError where there is nothing at `path`, a table has neither column, or a manifest no `path`; with Spark
    Connect, whose server may see other storage than this client, the first action raises.

    >>> recordings = read_audio(spark, "s3://bucket/calls", manifest="calls.csv")  # doctest: +SKIP
    """
    whole = absolute(path)  # workers have working folders of their own
    storage = Storage(schemes=frozenset(schemes), options=storage_options or {})
    single = format is None and whole.lower().endswith(SUFFIXES + FOREIGN_SUFFIXES) and _is_file(whole, storage)
    kind = None if single else format or format_there(spark, whole, storage)
    if manifest is not None and (single or kind is not None):
        raise InputError(
            f"a manifest goes with a folder of recordings, and {path} is none; join the two tables instead"
        )
    if single:
        return spark.createDataFrame([(whole,)], "path string")
    if kind is None:
        files = list_files(spark, whole, suffixes=SUFFIXES + FOREIGN_SUFFIXES, storage=storage)
        return files if manifest is None else _with_manifest(files, whole, manifest)
    # What a named format reads may be no path, but a table's name.
    table = read_table(spark, path if format else whole, format=kind)
    if not {"path", "content"} & set(table.columns):
        raise InputError(f"{path} has neither a column 'path' nor 'content'; {_rename(table)}")
    if audio_column(table) == "content":
        return table
    return with_whole_paths(table, whole.rpartition("/")[0]).repartition(partitions(spark), "path")


def with_facts(
    df: DataFrame,
    *,
    prefix: str = "",
    input_col: str | None = None,
    schemes: tuple[str, ...] = tuple(sorted(SCHEMES)),
    base: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> DataFrame:
    """The rows and columns of `df`, and what the headers of its recordings say.

    - `rate`: int, samples a second,
    - `channels`: int,
    - `duration`: double, seconds; null where a header does not say it (a FLAC that was written into a pipe),
    - `format` and `encoding`: string, as in WAV and PCM_16, OGG and OPUS,
    - `error`: string, why a recording cannot be read, or that it is cut; then all others are null.

    `prefix` is put before these names: a model's `transform` adds columns of its own, `duration` and `error` among
    them. The workers read headers by range and decode nothing; an MP3 whose header holds no length is read to its end.

        with_facts(read_audio(spark, "s3://bucket/calls"), prefix="audio_").where("audio_duration < 3600")

    Raises InputError where there is no column of recordings (`input_col`; by default `content` or `path`), or one has
    such a name already.
    """
    from brightspark.speech.facts import FACTS, FactsSettings

    outputs = {f"{prefix}{name}": f"answer.{name}" for name in _FACTS} | {f"{prefix}error": "error"}
    taken = next((name for name in outputs if name in df.columns), None)
    if taken is not None:
        raise InputError(f"the table has a column {taken!r} already; drop it, or put a prefix before the new names")
    settings = FactsSettings(
        column=audio_column(df, input_col), schemes=schemes, base=base, storage_options=dict(storage_options or {})
    )
    scoring = Scoring(
        loader="brightspark.speech.facts:load",
        artifact=None,
        settings=settings,
        columns=(settings.column,),
        answer_type=FACTS,
    )
    return answers(df, scoring, outputs)


def _is_file(path: str, storage: Storage) -> bool:
    """Whether what is called like a recording is one, and no folder. Raises InputError where there is nothing."""
    from pyspark.sql.utils import is_remote

    scheme, plain = storage.check(path)
    if is_remote():  # only the server knows
        return True
    where, options = (plain, None) if scheme == "file" else (path, storage.options)
    try:
        return bool(file_system(path, options).info(where)["type"] != "directory")
    except OSError as error:
        raise InputError(f"there is no recording {path}: {one_line(error)}") from error


def _with_manifest(files: DataFrame, folder: str, manifest: str) -> DataFrame:
    """Files and what is known of them, each with its row, and lines without a file with theirs."""
    spark = files.sparkSession
    table = read_table(spark, manifest)
    if "path" not in table.columns:
        raise InputError(f"the manifest {manifest} has no column 'path'; {_rename(table)}")
    # As a listing has them: the two are joined by what stands there.
    plain = F.regexp_replace(F.regexp_replace("path", "^file://(?=/)", ""), r"^(\./+)+", "")
    lines = with_whole_paths(table.withColumn("path", plain), folder)
    if "text" in lines.columns and REFERENCE not in lines.columns:  # `text` is what a model answers
        lines = lines.withColumnRenamed("text", REFERENCE)
    if REFERENCE in lines.columns:  # Spark takes a column of spoken numbers for integers
        lines = lines.withColumn(REFERENCE, F.col(REFERENCE).cast("string"))
    kept = files.select(*(name for name in files.columns if name == "path" or name not in lines.columns))
    joined = kept.join(lines, on="path", how="full_outer")
    first = [name for name in _LISTED if name in kept.columns]
    return joined.select(*first, *(quoted(name) for name in lines.columns if name not in first)).repartition(
        partitions(spark), "path"
    )


def _rename(table: DataFrame) -> str:
    return f"there are {', '.join(map(repr, table.columns))}: rename the one that holds the recordings"
