"""A temperature is the one that scipy finds, makes overconfident answers honest, and says where it cannot."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax

from brightspark.core.calibration import Loss, fit_temperature, least_loss, rescaled
from brightspark.core.errors import InputError, SettingError
from brightspark.core.metrics import classification

EPS = np.finfo(np.float64).eps
SCHEMA = "label string, probability array<double>, error string"
Floats = NDArray[np.float64]


def answers(classes: int, overconfidence: float, rows: int = 600, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Softmax probabilities whose logits are `overconfidence` times those that the truths were drawn by."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(rows, classes))
    truth = np.array([random.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return softmax(overconfidence * logits, axis=1), truth


def names(classes: int) -> list[str]:
    return [f"class {place}" for place in range(classes)]


def table(spark: SparkSession, probability: Floats, truth: NDArray[np.int64], kind: str = "double") -> DataFrame:
    labels = names(probability.shape[1])
    frame = pd.DataFrame({"label": [labels[place] for place in truth], "probability": list(probability)})
    made = spark.createDataFrame(frame, "label string, probability array<double>")
    made = made.withColumn("prediction", F.get(F.array(*map(F.lit, labels)), _place_of_highest()))
    return made.withColumn("probability", F.col("probability").cast(f"array<{kind}>"))


def _place_of_highest() -> F.Column:
    return (F.array_position("probability", F.array_max("probability")) - 1).cast("int")


def scipys(loss: object) -> float:
    found = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))


@pytest.mark.parametrize(
    ("classes", "overconfidence"),
    [(5, 0.4), pytest.param(2, 3.0, marks=pytest.mark.slow), pytest.param(20, 8.0, marks=pytest.mark.slow)],
)
def test_a_softmaxs_temperature_is_scipys(spark: SparkSession, classes: int, overconfidence: float) -> None:
    probability, truth = answers(classes, overconfidence)
    found = fit_temperature(table(spark, probability, truth), labels=names(classes))
    logits = np.log(np.maximum(probability, EPS))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(truth)), truth].mean())

    assert found.temperature == pytest.approx(scipys(loss), rel=1e-4)
    assert found.temperature == pytest.approx(overconfidence, rel=0.2)
    assert found.log_loss_before == pytest.approx(loss(0), abs=1e-9)
    assert found.log_loss_after == pytest.approx(loss(math.log(found.temperature)), abs=1e-9)
    assert (found.rows, found.left_out, found.note) == (600, 0, "")


def test_independent_labels_temperature_is_scipys(spark: SparkSession) -> None:
    random = np.random.default_rng(3)
    logits = 2 * random.normal(size=(400, 4)) - 1
    present = random.random(logits.shape) < expit(logits)
    probability = expit(2.5 * logits)
    probability[0, 0], probability[1, 1] = 0, 1
    labels = names(4)
    rows = [
        ([labels[place] for place in np.flatnonzero(truths)], row.tolist())
        for truths, row in zip(present, probability, strict=True)
    ]
    scored = spark.createDataFrame(rows, "label array<string>, probability array<double>")
    found = fit_temperature(scored, labels=labels)
    margins = logit(np.clip(probability, EPS, 1 - EPS)) * np.where(present, 1, -1)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -margins / np.exp(log_temperature)).mean())

    assert found.temperature == pytest.approx(scipys(loss), rel=1e-4)
    assert found.log_loss_before == pytest.approx(loss(0), abs=1e-9)
    assert found.log_loss_after == pytest.approx(loss(math.log(found.temperature)), abs=1e-9)
    changed = scored.select(rescaled("probability", found.temperature, independent=True)).collect()
    expected = expit(logit(np.clip(probability, EPS, 1 - EPS)) / found.temperature)
    assert np.array([row[0] for row in changed]) == pytest.approx(expected, abs=1e-9)


def test_overconfident_answers_become_honest(spark: SparkSession) -> None:
    labels = names(4)
    fitted_on, judged_on = (table(spark, *answers(4, 4.0, rows=2000, seed=seed), "float") for seed in (1, 2))
    found = fit_temperature(fitted_on, labels=labels)
    after = judged_on.withColumn("probability", rescaled("probability", found.temperature))
    then, now = (classification(scored, labels=labels, intervals=0) for scored in (judged_on, after))
    assert then.calibration_error > 0.2
    assert now.calibration_error < 0.05
    assert now.log_loss < then.log_loss
    assert now.accuracy == then.accuracy
    assert now.top_k_accuracy == then.top_k_accuracy


def test_rescaled_is_the_softmax_of_the_divided_logits(spark: SparkSession) -> None:
    rows = [([0.7, 0.2, 0.1],), ([1.0, 0.0, 0.0],), (None,)]
    scored = spark.createDataFrame(rows, "`p.raw` array<float>")
    first, sure, nothing = (row[0] for row in scored.select(rescaled("p.raw", 2.5)).collect())
    single = np.float32([0.7, 0.2, 0.1]).astype(np.float64)
    assert first == pytest.approx(softmax(np.log(single) / 2.5), abs=1e-12)
    assert sure == pytest.approx(softmax(np.log([1, EPS, EPS]) / 2.5), abs=1e-12)
    assert nothing is None


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf])
def test_no_such_temperature(temperature: float) -> None:
    with pytest.raises(SettingError, match="want a number above 0"):
        rescaled("probability", temperature)


def test_rows_that_say_nothing_are_left_out_and_counted(spark: SparkSession) -> None:
    probability, truth = answers(3, 3.0, rows=100)
    good = table(spark, probability, truth).select("label", "probability", F.lit(None).cast("string").alias("error"))
    sure = [0.98, 0.01, 0.01]
    useless = [
        ("class 1", sure, "late"),
        (None, sure, None),
        ("okapi", sure, None),
        ("class 1", None, "OSError: vanished"),
        ("class 1", None, None),
        ("class 1", [math.nan, 0.5, 0.5], None),
        ("class 1", [None, 0.5, 0.5], None),
    ]
    found = fit_temperature(good.union(spark.createDataFrame(useless, SCHEMA)), labels=names(3))
    alone = fit_temperature(good, labels=names(3))
    assert (found.rows, found.left_out) == (100, 7)
    assert found.temperature == pytest.approx(alone.temperature, rel=1e-6)


@pytest.mark.parametrize(
    ("truth", "temperature", "note"),
    [("cat", 0.05, "lowest temperature, 0.05: (almost) no row is wrong"), ("dog", 20, "highest temperature, 20")],
    ids=["all right", "all wrong"],
)
def test_one_class_only_ends_at_a_bound_and_says_so(
    spark: SparkSession, truth: str, temperature: float, note: str
) -> None:
    rows = [(truth, [0.9, 0.1], None), (truth, [0.6, 0.4], None), (truth, [1.0, 0.0], None)]
    found = fit_temperature(spark.createDataFrame(rows, SCHEMA), labels=["cat", "dog"])
    assert found.temperature == temperature
    assert note in found.note
    assert note in str(found)


def test_answers_without_any_opinion_keep_their_temperature(spark: SparkSession) -> None:
    rows = [("cat", [0.5, 0.5], None), ("dog", [0.5, 0.5], None)]
    found = fit_temperature(spark.createDataFrame(rows, SCHEMA), labels=["cat", "dog"])
    assert (found.temperature, found.log_loss_after, found.note) == (1, pytest.approx(math.log(2)), "")


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([], {}, "None of 0 rows"),
        ([("okapi", [0.5, 0.5], None), ("cat", None, "broken")], {}, "None of 2 rows has a truth"),
        ([("cat", [0.5, 0.2, 0.3], None)], {}, "There are 2 labels, but rows whose probability has 3 numbers"),
        ([("cat", [3.2, -1.0], None)], {}, "which is no probability"),
        ([("cat", [0.5, 0.5], None)], {"labels": None}, "order of the labels is not known"),
        ([("cat", [0.5, 0.5], None)], {"label": "lable"}, "no column 'lable'; did you mean 'label'"),
        ([("cat", [0.5, 0.5], None)], {"probability": "label"}, "'label' is string; want array<float>"),
        ([("cat", [0.5, 0.5], None)], {"label": "probability"}, "want array<string>"),
    ],
)
def test_unusable_tables_are_refused(
    spark: SparkSession, rows: list[tuple[object, ...]], arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit_temperature(spark.createDataFrame(rows, SCHEMA), **({"labels": ["cat", "dog"]} | arguments))


@pytest.mark.parametrize("scale", [0.06, 0.5, 1.0, 3.0, 19.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_search_needs_few_passes(scale: float, seed: int) -> None:
    probability, truth = answers(5, scale, rows=300, seed=seed)
    logits = np.log(np.maximum(probability, EPS))
    gaps = logits - logits[np.arange(len(truth)), truth][:, None]
    asked = []

    def measure(sharpness: float) -> Loss:
        asked.append(sharpness)
        weights = softmax(sharpness * gaps, axis=1)
        mean = (weights * gaps).sum(axis=1)
        variance = (weights * gaps**2).sum(axis=1) - mean**2
        loss = -log_softmax(sharpness * gaps, axis=1)[np.arange(len(truth)), truth]
        return Loss(loss.mean(), mean.mean(), variance.mean())

    found, _, least = least_loss(measure)
    assert len(asked) <= 20
    assert abs(least.slope) < 1e-6 or found in (1 / 20, 1 / 0.05)
