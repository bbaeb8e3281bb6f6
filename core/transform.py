"""Scoring on Spark: one UDF, one hop into Python, and a closure that carries an address and never weights.

What a DataFrame with answers costs, whoever asks for it:

- filter, select, join, aggregate, cache and write score each row once (the UDF is marked nondeterministic; without
  that, Spark pushes a filter on an answer below the projection and scores twice);
- sorting or range-partitioning by an answer scores twice, since Spark samples first: write or persist before;
- a filter on an input column after the transform is not pushed below it: filter first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pyarrow as pa
from pyspark.sql import functions as F

from brightspark.core import cache
from brightspark.core.artifact import Artifact
from brightspark.core.errors import ArtifactError, InputError, did_you_mean
from brightspark.core.session import ARROW_BATCH_BYTES
from brightspark.core.stats import Stats
from brightspark.core.worker import Scoring, result_type, run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Observation, SparkSession

MAX_SENT_BYTES = 2 << 30  # a larger model is not sent by Spark's own file server: it belongs into shared storage
_ARROW_BYTES = "spark.sql.execution.arrow.maxBytesPerBatch"
_ANSWER = "__brightspark_answer"


def answers(
    df: DataFrame,
    scoring: Scoring,
    outputs: Mapping[str, str],
    *,
    metadata: Mapping[str, Any] | None = None,
    observation: Observation | None = None,
    counted: Mapping[str, str] | None = None,
) -> DataFrame:
    """The rows and columns of `df`, and the answers as further columns.

    `outputs` names each new column and where in the worker's result it stands (`answer.prediction`, `error`); each
    gets the `metadata`. With an observation, the sums of `brightspark.core.stats.Stats` are in it after the first
    action, and how often what `counted` names, booleans of the answer, was true. Raises InputError for an input column
    that is missing, or an output column that exists.
    """
    _check_columns(df, scoring.columns, outputs)
    if scoring.artifact is not None:
        deliver(df.sparkSession, scoring.artifact)
    _bound_arrow_batches(df.sparkSession)
    scored = df.withColumn(_ANSWER, _udf(scoring)(F.struct(*[F.col(quoted(name)) for name in scoring.columns])))
    if observation is not None:
        sums = [F.sum(F.col(f"{_ANSWER}.stats.{number.name}")).alias(number.name) for number in fields(Stats)]
        sums += [F.count_if(F.col(f"{_ANSWER}.{path}")).alias(name) for name, path in (counted or {}).items()]
        scored = scored.observe(observation, *sums)
    added = [F.col(f"{_ANSWER}.{path}").alias(name, metadata=dict(metadata or {})) for name, path in outputs.items()]
    return scored.select("*", *added).drop(_ANSWER)


def _bound_arrow_batches(spark: SparkSession) -> None:
    """Bounds Arrow batches in bytes where nobody has: ten thousand rows (Spark's default) of images fill a worker."""
    if spark.conf.get(_ARROW_BYTES, None) is None:
        spark.conf.set(_ARROW_BYTES, str(ARROW_BATCH_BYTES))


def quoted(name: str) -> str:
    """A column's name as Spark SQL reads it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def with_columns(df: DataFrame, columns: Mapping[str, Column]) -> DataFrame:
    """`df.withColumns` for columns that carry metadata in their alias, which on Spark Connect `withColumns` drops."""
    kept = [columns.get(name, F.col(quoted(name))) for name in df.columns]
    return df.select(*kept, *(column for name, column in columns.items() if name not in df.columns))


def _check_columns(df: DataFrame, columns: Sequence[str], outputs: Mapping[str, str]) -> None:
    for name in columns:
        if name not in df.columns:
            raise InputError(f"the table has no column {name!r}; {did_you_mean(name, df.columns)}")
    folded = str.lower if df.sparkSession.conf.get("spark.sql.caseSensitive", "false") == "false" else str
    existing = {folded(column) for column in df.columns}
    for name in outputs:
        if folded(name) in existing:
            raise InputError(
                f"the table has a column {name!r} already; drop it, or give the answer another name "
                f"({name}_col={name + '_2'!r})"
            )


def _udf(scoring: Scoring) -> Any:
    from pyspark.sql.pandas.types import from_arrow_type

    def brightspark(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return run(scoring, batches)

    returned = from_arrow_type(result_type(scoring.answer_type))
    return F.arrow_udf(brightspark, returned).asNondeterministic()  # type: ignore[attr-defined]


_delivered: WeakKeyDictionary[SparkSession, set[str]] = WeakKeyDictionary()


def deliver(spark: SparkSession, artifact: Artifact) -> None:
    """Makes sure that every worker can have the artifact, even when the driver's own folder is gone by then.

    A URI is left to the workers, each node fetching it once. A folder is copied into this machine's cache, and sent
    along by `spark.addArtifacts` unless the workers are known to run on this machine.
    """
    if not cache.is_local(artifact.address):
        return
    done = _delivered.setdefault(spark, set())
    if artifact.digest in done:
        return
    folder = cache.keep(artifact.address, artifact.digest, artifact.files)
    if not workers_are_here(spark):
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if size > MAX_SENT_BYTES:
            raise ArtifactError(
                f"{artifact.address} has {size >> 20:,} MiB, too much to send to the workers; save it to storage that "
                "they share (s3://…, hdfs://…) and load it from there"
            )
        spark.addArtifacts(str(cache.pack(artifact.digest)), file=True)
    done.add(artifact.digest)


def workers_are_here(spark: SparkSession) -> bool:
    """Whether all workers are known to run on this machine, as its threads."""
    from pyspark.sql.utils import is_remote

    master = spark.conf.get("spark.master", "") or ""
    return not is_remote() and (master == "local" or master.startswith("local["))
