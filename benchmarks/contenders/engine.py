"""brightspark, as its README uses it: nothing is set but the precision."""

from __future__ import annotations

from pathlib import Path

from contenders.job import Job, Settings, Stopwatch, Timing


def run(job: Job, settings: Settings) -> Timing:
    """Score a folder with `transform`; the session is brightspark's own."""
    watch = Stopwatch()
    from brightspark.core.session import session
    from brightspark.vision import ImageClassifierModel, read_images

    spark = session()
    start = watch.lap()
    model = ImageClassifierModel.pretrained(str(job.model), precision=settings["precision"])
    rows = model.transform(read_images(spark, str(job.warm_up))).select("path", "prediction").collect()
    numbers = {label: number for number, label in enumerate(model.labels)}
    answers = {Path(row.path).name: numbers[row.prediction] for row in rows}
    load = watch.lap()
    scored = model.transform(read_images(spark, str(job.images)))
    scored.write.format("noop").mode("overwrite").save()
    return Timing(start=start, load=load, score=watch.lap(), answers=answers)
