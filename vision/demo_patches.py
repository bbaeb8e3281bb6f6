"""Learning from pairs of skin patches: a split by image, deep features, Spark ML, and how well it went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark import samples
from brightspark.vision import ImageFeaturizer, evaluate, read_images

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.classification_report import ClassificationReport

HELD_OUT = 3  # every third image is kept for measuring
REGULARISATION = 0.01  # L2, on standardised features, as Spark means it


@dataclass(frozen=True)
class Run:
    """What was learned and measured."""

    train: DataFrame
    test: DataFrame
    scored: DataFrame
    """The answers on `test`, persisted."""
    report: ClassificationReport
    learned_sources: int
    """Images whose pairs were learned from."""
    measured_sources: int
    """Images whose pairs were held out."""
    shared_sources: int
    """Images with pairs on both sides."""
    left_out: int
    """Pairs whose patches come from two images."""
    seconds: Mapping[str, float]
    """Of each step."""


def split_by_source(pairs: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Pairs to learn from and pairs to measure with, of which no two share an image.

    Pairs whose second patch was copied from another image go: they would carry it over to the other side.
    """
    from pyspark.sql import functions as F

    whole = pairs.withColumn("source", F.col("source").cast("int")).filter("source = second_source")
    held_out = F.col("source") % HELD_OUT == 0
    train, test = whole.filter(~held_out), whole.filter(held_out)
    return train, test


def fit(train: DataFrame, weights: Path) -> PipelineModel:
    """Frozen features of each picture, and Spark's logistic regression on them."""
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import StringIndexer

    from brightspark.core.features import FeaturePipeline
    from brightspark.core.named_answers import NamedAnswers

    names = StringIndexer(inputCol="label", outputCol="index", stringOrderType="alphabetAsc").fit(train)
    learner = LogisticRegression(labelCol="index", regParam=REGULARISATION)
    stages: list[Any] = [names, learner, NamedAnswers(names.labels)]
    return FeaturePipeline(ImageFeaturizer.pretrained(str(weights)), Pipeline(stages=stages)).fit(train)


def learn_and_measure(spark: SparkSession, weights: Path, say: Callable[[str], None]) -> Run:
    """Fits on one part of the images, scores and evaluates on the other."""
    seconds: dict[str, float] = {}
    pairs = read_images(spark, str(samples.dermoscopy() / "pairs.csv"))
    train, test = split_by_source(pairs)
    learned, measured = (part.select("source").distinct() for part in (train, test))
    shared = learned.intersect(measured).count()
    assert shared == 0, f"{shared} images on both sides"
    say("skin patches: computing features and learning from them on Spark")
    with _timed(seconds, "features of the pairs to learn from, and learning"):
        model = fit(train, weights)
    say("skin patches: scoring the other images' pairs")
    scored = model.transform(test).select("path", "source", "label", "prediction", "probability", "error").persist()
    with _timed(seconds, "features and answers of the pairs to measure with"):
        scored.count()
    with _timed(seconds, "evaluation"):
        report = evaluate(scored)
    return Run(
        train=train,
        test=test,
        scored=scored,
        report=report,
        learned_sources=learned.count(),
        measured_sources=measured.count(),
        shared_sources=shared,
        left_out=pairs.count() - train.count() - report.counts.rows,
        seconds=seconds,
    )


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started
