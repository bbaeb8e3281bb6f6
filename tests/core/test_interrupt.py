"""Jobs that another thread ends, in a session that stays as it was."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from brightspark.core.interrupt import Jobs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_another_thread_ends_a_job(spark: SparkSession) -> None:
    jobs = Jobs(spark)
    raised: list[Exception] = []

    def work() -> None:
        try:
            with jobs.running() as session:
                session.range(0, 2, 1, 2).select(F.call_function("java_method", F.lit("java.lang.Thread"),
                    F.lit("sleep"), F.lit(60_000).cast("long"))).collect()  # fmt: skip
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    began = time.monotonic()
    while thread.is_alive() and time.monotonic() - began < 40:
        jobs.stop()
        thread.join(0.5)
    assert not thread.is_alive()
    assert raised


def test_a_session_still_runs_spark_mls_models_afterwards(spark: SparkSession) -> None:
    """They hold a summary, which holds the session: one that was tagged cannot be serialized."""
    with Jobs(spark).running() as session:
        session.range(3).collect()
    rows = spark.range(20).select(
        (F.col("id") % 2).cast("double").alias("label"),
        array_to_vector(F.array(F.rand(1), F.rand(2))).alias("features"),
    )
    assert LogisticRegression(maxIter=1).fit(rows).transform(rows).count() == 20
    assert len(LogisticRegression(maxIter=1).fit(rows).transform(rows).select("prediction").collect()) == 20
