"""The threshold is the lowest that brute force finds; what cannot be reached is said with the best that can."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from scipy.stats import binomtest

from brightspark.core.abstention import AnswerThreshold, threshold_for_precision, wilson_low
from brightspark.core.errors import InputError, SettingError

LABELS = ["ant", "bee", "cat"]
SCHEMA = "label string, probability array<double>, error string"
Confidences = NDArray[np.float64]


def answers(rows: int = 500, seed: int = 0) -> tuple[list[str], Confidences]:
    """Truths drawn by their probabilities, half of which are coarse and tie."""
    random = np.random.default_rng(seed)
    probability = random.dirichlet(np.full(3, 0.5), rows)
    truth = [str(random.choice(LABELS, p=row)) for row in probability]
    coarse = np.round(probability[::2] * 8) + 0.125
    probability[::2] = coarse / coarse.sum(axis=1, keepdims=True)
    return truth, probability


def brute_force(truth: list[str], probability: Confidences, precision: float) -> tuple[float, float, float]:
    """Threshold, precision and coverage by trying each confidence, the lowest first."""
    confidence = probability.max(axis=1)
    right = np.array(LABELS)[probability.argmax(axis=1)] == np.array(truth)
    for threshold in np.unique(confidence):
        answered = confidence >= threshold
        if right[answered].mean() >= precision:
            return threshold, right[answered].mean(), answered.mean()
    raise AssertionError("not reachable")


def table(spark: SparkSession, truth: list[str], probability: Confidences) -> DataFrame:
    return spark.createDataFrame([(*row, None) for row in zip(truth, probability.tolist(), strict=True)], SCHEMA)


@pytest.mark.parametrize("precision", [0.05, 0.8, 0.93])
def test_the_threshold_is_the_one_that_brute_force_finds(spark: SparkSession, precision: float) -> None:
    truth, probability = answers()
    found = threshold_for_precision(table(spark, truth, probability), precision=precision, labels=LABELS)
    expected = brute_force(truth, probability, precision)
    assert (found.threshold, found.precision, found.coverage) == pytest.approx(expected, rel=0, abs=1e-9)
    assert found.answered == round(found.coverage * 500)
    assert found.precision_low == wilson_low(round(found.precision * found.answered), found.answered)
    assert f"{found.answered} of 500 rows" in str(found)


def test_the_lowest_counts_though_precision_falls_in_between(spark: SparkSession) -> None:
    rows = [("ant", 0.9), ("bee", 0.8), ("ant", 0.7), ("ant", 0.6)]
    scored = spark.createDataFrame([(name, [p, 1 - p, 0.0], None) for name, p in rows], SCHEMA)
    found = threshold_for_precision(scored, precision=0.75, labels=LABELS)
    assert (found.threshold, found.precision, found.coverage) == (0.6, 0.75, 1)


def test_what_cannot_be_reached_is_said_with_the_best(spark: SparkSession) -> None:
    rows = [("bee", 0.95), ("ant", 0.9), ("ant", 0.9), ("bee", 0.5)]
    scored = spark.createDataFrame([(name, [p, 1 - p, 0.0], None) for name, p in rows], SCHEMA)
    with pytest.raises(InputError, match=r"precision of 0\.99: the best is 0\.6667, at 0\.9000, which answers 75\.00%"):
        threshold_for_precision(scored, precision=0.99, labels=LABELS)


@pytest.mark.parametrize(("hits", "rows"), [(95, 100), (1, 1), (0, 7), (999, 1000)])
def test_the_lower_bound_is_scipys(hits: int, rows: int) -> None:
    assert wilson_low(hits, rows) == pytest.approx(binomtest(hits, rows).proportion_ci(method="wilson").low, abs=1e-12)


def test_rows_that_say_nothing_are_left_out_and_strange_truths_are_wrong(spark: SparkSession) -> None:
    sure = [1.0, 0.0, 0.0]
    rows = [
        ("ant", sure, None),
        ("okapi", sure, None),
        ("ant", sure, "late"),
        (None, sure, None),
        ("ant", None, None),
        ("ant", [math.nan, 0.0, 1.0], None),
    ]
    found = threshold_for_precision(spark.createDataFrame(rows, SCHEMA), precision=0.5, labels=LABELS)
    assert found == AnswerThreshold(1.0, 0.5, wilson_low(1, 2), 1.0, answered=2, rows=2, left_out=4)


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([], {}, "None of 0 rows"),
        ([("ant", [0.5, 0.5], None)], {}, "There are 3 labels, but rows whose probability has 2 numbers"),
        ([("ant", [3.2, 0.0, 0.0], None)], {}, "which is no probability"),
        ([("ant", [1.0, 0.0, 0.0], None)], {"labels": None}, "order of the labels is not known"),
        ([("ant", [1.0, 0.0, 0.0], None)], {"probability": "label"}, "want array<float>"),
        ([("ant", [1.0, 0.0, 0.0], None)], {"label": "probability"}, "use label_threshold_for_precision"),
    ],
)
def test_unusable_tables_are_refused(
    spark: SparkSession, rows: list[tuple[object, ...]], arguments: dict[str, object], message: str
) -> None:
    settings = {"labels": LABELS, "precision": 0.9} | arguments
    with pytest.raises(InputError, match=message):
        threshold_for_precision(spark.createDataFrame(rows, SCHEMA), **settings)


@pytest.mark.parametrize("precision", [0, 1.01, math.nan])
def test_no_such_precision(spark: SparkSession, precision: float) -> None:
    with pytest.raises(SettingError, match="want a share"):
        threshold_for_precision(spark.createDataFrame([], SCHEMA), precision=precision, labels=LABELS)
