"""Spark's own `predict_batch_udf` as its documentation uses it: a UDF that decodes, then one for the model.

It takes numeric tensors only, flattened into `array<float>`, so that decoded images travel through the JVM.
https://spark.apache.org/docs/latest/api/python/reference/api/pyspark.ml.functions.predict_batch_udf.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from contenders.job import Job, Settings, Stopwatch, Timing

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import Column

# As its documentation uses it: Spark's own settings, the network as timm makes it; only the batch is chosen.
DOCUMENTED: tuple[Settings, ...] = tuple(
    {"batch": batch, "channels_last": False, "partitions_per_core": None} for batch in (32, 64, 100)
)
# What it can be brought to by who knows torch and Spark well: another memory layout, files packed into few partitions.
TUNED: tuple[Settings, ...] = tuple(
    {"batch": batch, "channels_last": channels_last, "partitions_per_core": 4}
    for batch, channels_last in product((32, 64), (False, True))
)


def run(job: Job, settings: Settings) -> Timing:
    """Decode and score in two UDFs; the model stays in its worker process from the warm-up on."""
    watch = Stopwatch()
    from pyspark.sql import functions as F

    from contenders import peer_session

    tuned = settings["partitions_per_core"] is not None
    spark = peer_session.start(job, batch=settings["batch"] if tuned else None)
    start = watch.lap()
    partitions = job.cores * settings["partitions_per_core"] if tuned else None
    answer = _answer(job.model, F.col("content"), settings).alias("answer")
    warm_up = peer_session.read(spark, job.warm_up, partitions=partitions).select("path", answer)
    answers = peer_session.answers(warm_up)
    load = watch.lap()
    frame = peer_session.read(spark, job.images, partitions=partitions).select("path", answer)
    peer_session.write_nowhere(frame)
    return Timing(start=start, load=load, score=watch.lap(), answers=answers)


def _answer(folder: Path, content: Column, settings: Settings) -> Column:
    """`struct<prediction, probability>` of encoded images."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, FloatType, LongType, StructField, StructType

    channels_last = settings["channels_last"]

    def decode(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        import classifier

        transform = classifier.load_transform(folder)
        for some in batches:
            yield some.map(lambda image: classifier.decode(image, transform).flatten().numpy())

    def load() -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        import torch
        from classifier import Classifier

        model = Classifier.load(folder, threads=1, channels_last=channels_last)

        def predict(images: np.ndarray) -> dict[str, np.ndarray]:
            classes, probabilities = model.predict(torch.from_numpy(images))
            return {"prediction": classes, "probability": probabilities}

        return predict

    score = predict_batch_udf(
        load,
        return_type=StructType(
            [StructField("prediction", LongType()), StructField("probability", ArrayType(FloatType()))]
        ),
        batch_size=settings["batch"],
        input_tensor_shapes=[_input_shape(folder)],
    )
    return score(F.pandas_udf(decode, "array<float>")(content))


def _input_shape(folder: Path) -> list[int]:
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=False)
    return list(model.pretrained_cfg["input_size"])
