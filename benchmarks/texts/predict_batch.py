"""Spark's own `predict_batch_udf`: it takes tensors of one shape, so texts are padded to what the network takes.

https://spark.apache.org/docs/latest/api/python/reference/api/pyspark.ml.functions.predict_batch_udf.html
Tokens are made by a UDF before it, whose tokenizer is loaded once a task, and go through the JVM. The session is
brightspark's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pandas as pd  # pandas_udf looks its annotations up in the module

from texts import data
from texts.job import Done, Job, Stopwatch

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import Column, DataFrame

BATCH = 32


def run(job: Job) -> Done:
    """Tokenize and score in two UDFs; the network stays in its worker process from the warm-up on."""
    from pyspark.sql import functions as F

    from brightspark.core.session import session

    spark = session()
    answer = _network(job)(_tokens(job))

    def scored(folder: str) -> DataFrame:
        return spark.read.parquet(folder).select("id", answer.alias("probability"))

    best = F.array_position("probability", F.array_max("probability")).cast("int").alias("best")
    warm = scored(str(job.warm_up)).select("id", best).collect()
    count = spark.read.parquet(str(job.texts)).count()
    watch = Stopwatch()
    scored(str(job.texts)).write.format("noop").mode("overwrite").save()
    seconds = watch.seconds()
    spark.stop()
    return Done(texts=count, seconds=seconds, answers={row.id: data.LABELS[row.best - 1] for row in warm})


def _tokens(job: Job) -> Column:
    """MAX_TOKENS numbers of each text, most of them padding."""
    from pyspark.sql import functions as F

    def tokens(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(job.model)
        for texts in batches:
            cut = tokenizer(texts.tolist(), padding="max_length", truncation=True, max_length=data.MAX_TOKENS)
            yield pd.Series(cut["input_ids"])

    return F.pandas_udf(tokens, "array<long>")("text")  # type: ignore[call-overload]


def _network(job: Job) -> Callable[[Column], Column]:
    """Probabilities of padded tokens."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql.types import ArrayType, FloatType

    def load() -> Callable[[np.ndarray], np.ndarray]:
        from texts.network import load_network

        network = load_network(job)
        return lambda ids: network.probabilities(ids, ids != 0)

    return predict_batch_udf(
        load, return_type=ArrayType(FloatType()), batch_size=BATCH, input_tensor_shapes=[[data.MAX_TOKENS]]
    )
