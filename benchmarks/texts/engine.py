"""brightspark, as docs/nlp.md uses it: nothing is set but the precision, and that a long text's beginning counts."""

from __future__ import annotations

from texts.job import Done, Job, Stopwatch


def run(job: Job) -> Done:
    """Score a table by `TextClassifierModel`, to a no-op write; the session is brightspark's own."""
    from brightspark.core.session import session
    from brightspark.nlp import TextClassifierModel

    spark = session()
    model = TextClassifierModel.pretrained(str(job.model), pooling="first", precision=job.precision)
    warm = model.transform(spark.read.parquet(str(job.warm_up))).select("id", "prediction").collect()
    scored, observation = model.measure(spark.read.parquet(str(job.texts)))
    watch = Stopwatch()
    scored.write.format("noop").mode("overwrite").save()
    seconds = watch.seconds()
    found = observation.get
    spark.stop()
    assert not found["errors"], f"{found['errors']} texts failed"
    return Done(
        texts=found["records"],
        seconds=seconds,
        answers={row.id: row.prediction for row in warm},
        notes={"padding": 1 - found["cost"] / found["padded_cost"], **found},
    )
