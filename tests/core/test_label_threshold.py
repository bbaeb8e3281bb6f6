"""Of several labels, the threshold is the lowest that brute force finds, and makes a report as precise as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.special import expit

from brightspark.core.errors import InputError, SettingError
from brightspark.core.label_threshold import LabelThreshold, label_threshold_for_precision
from brightspark.core.multi_label import multi_label

LABELS = ["ant", "bee", "cat"]
SCHEMA = "label array<string>, probability array<double>, error string"


def answers(rows: int = 400) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truths drawn by their probabilities, half of which are coarse and tie."""
    random = np.random.default_rng(0)
    probability = expit(2 * random.normal(size=(rows, len(LABELS))) - 0.5)
    truth = random.random(probability.shape) < probability
    probability[::2] = np.round(probability[::2] * 8) / 8
    return truth, probability


def table(spark: SparkSession, truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> DataFrame:
    names = [[name for name, holds in zip(LABELS, row, strict=True) if holds] for row in truth]
    return spark.createDataFrame([(*row, None) for row in zip(names, probability.tolist(), strict=True)], SCHEMA)


@pytest.mark.parametrize("precision", [0.3, 0.8, 0.93])
def test_the_threshold_is_the_one_that_brute_force_finds(spark: SparkSession, precision: float) -> None:
    truth, probability = answers()
    scored = table(spark, truth, probability)
    found = label_threshold_for_precision(scored, precision=precision, labels=LABELS)
    reaching = [score for score in np.unique(probability) if truth[probability >= score].mean() >= precision]
    named = probability >= reaching[0]
    assert (found.threshold, found.precision) == pytest.approx((reaching[0], truth[named].mean()), rel=0, abs=1e-9)
    assert found.recall == pytest.approx(truth[named].sum() / truth.sum(), rel=0, abs=1e-9)
    assert (found.named, found.rows, found.left_out) == (named.sum(), 400, 0)
    assert f"{found.named:,} labels of 400 rows" in str(found)


def test_answers_at_the_threshold_are_as_precise_as_it_says(spark: SparkSession) -> None:
    """What a model with this `threshold` would name: the labels of at least that probability."""
    scored = table(spark, *answers()).withColumn("probability", F.col("probability").cast("array<float>"))
    found = label_threshold_for_precision(scored, precision=0.9, labels=LABELS)
    likely = [F.when(F.get("probability", i) >= found.threshold, name) for i, name in enumerate(LABELS)]
    report = multi_label(scored.withColumn("prediction", F.array_compact(F.array(*likely))), labels=LABELS)
    scores = report.per_label.values()
    hits = sum(one.support * one.recall for one in scores)
    assert hits / sum(one.support * one.recall / one.precision for one in scores) == pytest.approx(found.precision)
    assert hits / sum(one.support for one in scores) == pytest.approx(found.recall)
    assert found.precision >= 0.9


def test_rows_that_say_nothing_are_left_out_and_unknown_labels_are_never_found(spark: SparkSession) -> None:
    sure = [1.0, 0.0, 0.0]
    rows = [
        (["ant", "ant", None], sure, None),
        (["okapi"], sure, None),
        ([], [0.0, 0.0, 0.0], None),
        (["ant"], sure, "late"),
        (None, sure, None),
        (["ant"], None, None),
        (["ant"], [math.nan, 0.0, 1.0], None),
    ]
    found = label_threshold_for_precision(spark.createDataFrame(rows, SCHEMA), precision=0.5, labels=LABELS)
    assert found == LabelThreshold(threshold=1.0, precision=0.5, recall=0.5, named=2, rows=3, left_out=4)


def test_what_cannot_be_reached_is_said_with_the_best(spark: SparkSession) -> None:
    rows = [(["ant"], [0.9, 0.9, 0.1], None), (["bee"], [0.95, 0.2, 0.1], None)]
    message = r"precision of 0\.9: the best is 0\.5000, at 0\.2000, which names 4 labels of 2 rows"
    with pytest.raises(InputError, match=message):
        label_threshold_for_precision(spark.createDataFrame(rows, SCHEMA), precision=0.9, labels=LABELS)


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([], {}, "None of 0 rows"),
        ([(["ant"], [0.5, 0.5], None)], {}, "There are 3 labels, but rows whose probability has 2 numbers"),
        ([(["ant"], [3.2, 0.0, 0.0], None)], {}, "which is no probability"),
        ([(["ant"], [1.0, 0.0, 0.0], None)], {"labels": None}, "order of the labels is not known"),
        ([(["ant"], [1.0, 0.0, 0.0], None)], {"label": "error"}, "'error' is string; want array<string>"),
    ],
)
def test_unusable_tables_are_refused(
    spark: SparkSession, rows: list[tuple[object, ...]], arguments: dict[str, object], message: str
) -> None:
    settings = {"labels": LABELS, "precision": 0.9} | arguments
    with pytest.raises(InputError, match=message):
        label_threshold_for_precision(spark.createDataFrame(rows, SCHEMA), **settings)


def test_no_such_precision(spark: SparkSession) -> None:
    with pytest.raises(SettingError, match="want a share"):
        label_threshold_for_precision(spark.createDataFrame([], SCHEMA), precision=1.5, labels=LABELS)
