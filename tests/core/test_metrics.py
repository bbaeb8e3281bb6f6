"""Every number equals scikit-learn's or an independent one in numpy; every row is counted, and evaluated once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn import metrics as sklearn

from brightspark.core.abstention import threshold_for_precision
from brightspark.core.calibration import fit_temperature
from brightspark.core.classification_report import SUMMARY, RowCounts
from brightspark.core.errors import InputError, SettingError
from brightspark.core.metrics import classification, compare
from brightspark.core.multi_label import multi_label

EXACT = {"rel": 0, "abs": 1e-9}
SCHEMA = "label string, prediction string, probability array<double>, error string"


@dataclass(frozen=True)
class Answers:
    """A classifier's answers, half of them with coarse probabilities that tie."""

    labels: list[str]
    truth: NDArray[np.str_]
    prediction: NDArray[np.str_]
    probability: NDArray[np.float64]

    def positive(self, name: str) -> NDArray[np.bool_]:
        return self.truth == name

    def table(self, spark: SparkSession) -> DataFrame:
        rows = zip(self.truth.tolist(), self.prediction.tolist(), self.probability.tolist(), strict=True)
        return spark.createDataFrame([(*row, None) for row in rows], SCHEMA)


def random_answers(classes: int, rows: int = 240, seed: int = 0) -> Answers:
    random = np.random.default_rng(seed)
    labels = [f"class {index:02}" for index in range(classes)]
    probability = random.dirichlet(np.full(classes, 0.7), rows)
    truth = [random.choice(classes, p=row) for row in probability]
    truth[:classes] = range(classes)  # scikit-learn wants each class at least once
    coarse = np.round(probability[::2] * 8) + 0.125
    probability[::2] = coarse / coarse.sum(axis=1, keepdims=True)
    names = np.array(labels)
    return Answers(labels, names[truth], names[probability.argmax(axis=1)], probability)


def calibration_error(answers: Answers, bins: int) -> float:
    """Guo et al. 2017, equation 3, bin by bin."""
    confidence = answers.probability.max(axis=1)
    right = np.array(answers.labels)[answers.probability.argmax(axis=1)] == answers.truth
    error = 0.0
    for step in range(bins):
        inside = (confidence > step / bins) & (confidence <= (step + 1) / bins)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


@pytest.mark.parametrize("classes", [2, 3, 30])
def test_every_number_equals_scikit_learns(spark: SparkSession, classes: int) -> None:
    answers = random_answers(classes)
    report = classification(answers.table(spark), labels=answers.labels, bins=10, intervals=0)
    y, guess, p, labels = answers.truth, answers.prediction, answers.probability, answers.labels
    expected = {
        "accuracy": sklearn.accuracy_score(y, guess),
        "balanced_accuracy": sklearn.balanced_accuracy_score(y, guess),
        "macro_f1": sklearn.f1_score(y, guess, average="macro"),
        "weighted_f1": sklearn.f1_score(y, guess, average="weighted"),
        "log_loss": sklearn.log_loss(y, p, labels=labels),
        "brier": sklearn.brier_score_loss(y, p[:, 1] if classes == 2 else p, **_names(labels)),
        "auroc": sklearn.roc_auc_score(y, p[:, 1] if classes == 2 else p, multi_class="ovr", labels=labels),
        "calibration_error": calibration_error(answers, bins=10),
    }
    assert {name: getattr(report, name) for name in expected} == pytest.approx(expected, **EXACT)
    if classes > 5:
        top = sklearn.top_k_accuracy_score(y, p, k=5, labels=labels)
        assert report.top_k_accuracy == pytest.approx(top, **EXACT)
    else:
        assert report.top_k_accuracy is None
    assert report.confusion.dense().tolist() == sklearn.confusion_matrix(y, guess, labels=labels).tolist()

    precision, recall, f1, support = sklearn.precision_recall_fscore_support(
        y, guess, labels=labels, zero_division=np.nan
    )
    areas = []
    for place, name in enumerate(labels):
        scores, positive = report.per_class[name], answers.positive(name)
        areas.append(sklearn.average_precision_score(positive, p[:, place]))
        assert scores.support == support[place]
        assert scores.recall == pytest.approx(recall[place], **EXACT)
        assert scores.f1 == pytest.approx(f1[place], **EXACT)
        assert scores.auroc == pytest.approx(sklearn.roc_auc_score(positive, p[:, place]), **EXACT)
        assert scores.average_precision == pytest.approx(areas[-1], **EXACT)
        never_predicted = np.isnan(precision[place])
        assert scores.precision == (None if never_predicted else pytest.approx(precision[place], **EXACT))
    macro = areas[-1] if classes == 2 else np.mean(areas)
    assert report.average_precision == pytest.approx(macro, **EXACT)
    assert not report.notes


def _names(labels: Sequence[str]) -> dict[str, object]:
    return {"pos_label": labels[1]} if len(labels) == 2 else {"labels": labels}


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0])), min_size=2, max_size=30).filter(
        lambda rows: len({truth for truth, _ in rows}) == 2
    )
)
def test_tied_scores_count_half(spark: SparkSession, rows: list[tuple[bool, float]]) -> None:
    table = [("yes" if truth else "no", "yes", [1 - score, score], None) for truth, score in rows]
    report = classification(spark.createDataFrame(table, SCHEMA), labels=["no", "yes"], intervals=0)
    truths, scores = zip(*rows, strict=True)
    assert report.auroc == pytest.approx(sklearn.roc_auc_score(truths, scores), **EXACT)
    assert report.average_precision == pytest.approx(sklearn.average_precision_score(truths, scores), **EXACT)


def test_labels_come_from_the_columns_metadata(spark: SparkSession) -> None:
    answers = random_answers(3)
    told = {"brightspark": {"labels": answers.labels}}
    table = answers.table(spark).withColumn("probability", F.col("probability").cast("array<float>"))
    named = table.withMetadata("prediction", told)
    report = classification(named.withColumnRenamed("label", "true.name"), label="true.name", intervals=0)
    assert report.labels == tuple(answers.labels)
    single = answers.probability.astype(np.float32)
    areas = [sklearn.roc_auc_score(answers.positive(n), single[:, i]) for i, n in enumerate(answers.labels)]
    assert report.auroc == pytest.approx(np.mean(areas), **EXACT)


def test_failed_and_unlabelled_rows_are_counted_and_left_out(spark: SparkSession) -> None:
    answers = random_answers(3, rows=60)
    other = [
        (answers.labels[0], None, None, "OSError: vanished"),
        (answers.labels[0], answers.labels[0], [1.0, 0.0, 0.0], "late"),
        (None, None, None, "OSError: vanished"),
        (answers.labels[0], None, None, None),
        (None, answers.labels[0], [1.0, 0.0, 0.0], None),
    ]
    table = answers.table(spark)
    report = classification(table.union(spark.createDataFrame(other, SCHEMA)), labels=answers.labels, intervals=0)
    assert report.counts == RowCounts(rows=65, answered=61, abstained=0, failed=4, unlabelled=1, measured=60)
    assert "abstained" not in str(report)
    alone = classification(table, labels=answers.labels, intervals=0)
    assert report.confusion == alone.confusion
    defined = [name for name in SUMMARY if name != "top_k_accuracy"]
    assert [getattr(report, name) for name in defined] == pytest.approx(
        [getattr(alone, name) for name in defined], **EXACT
    )


def test_rows_where_the_model_abstained_are_counted_and_change_no_number(spark: SparkSession) -> None:
    answers = random_answers(3, rows=60)
    unsure, name = [0.4, 0.3, 0.3], answers.labels[0]
    other = [
        (name, None, unsure, None),
        (None, None, unsure, None),
        (name, None, None, None),
        (name, None, unsure, "x"),
    ]
    table = answers.table(spark)
    report = classification(table.union(spark.createDataFrame(other, SCHEMA)), labels=answers.labels, intervals=0)
    alone = classification(table, labels=answers.labels, intervals=0)
    assert report.counts == RowCounts(rows=64, answered=60, abstained=2, failed=2, unlabelled=0, measured=60)
    assert report.counts.coverage == 60 / 62
    assert "2 abstained (coverage 96.8%)" in str(report)
    assert "abstained on 2 rows" in report.notes["coverage"]
    numbers, expected = report.to_dict(), alone.to_dict()
    assert {name: numbers[name] for name in SUMMARY} == pytest.approx({name: expected[name] for name in SUMMARY})
    assert numbers["confusion"] == expected["confusion"]
    unlikely = classification(table.union(spark.createDataFrame(other, SCHEMA)).drop("probability"), intervals=0)
    assert (unlikely.counts.abstained, unlikely.counts.failed) == (0, 4)


def test_truths_that_the_model_does_not_know_count_as_wrong(spark: SparkSession) -> None:
    answers = random_answers(3, rows=60)
    strange = [("okapi", answers.labels[0], [0.6, 0.2, 0.2], None)] * 5
    table = answers.table(spark).union(spark.createDataFrame(strange, SCHEMA))
    report = classification(table, labels=answers.labels, intervals=0)
    truth, guess = [*answers.truth, *["okapi"] * 5], [*answers.prediction, *[answers.labels[0]] * 5]
    scores = np.vstack([answers.probability, [[0.6, 0.2, 0.2]] * 5])
    areas = [sklearn.roc_auc_score(np.array(truth) == n, scores[:, i]) for i, n in enumerate(answers.labels)]
    assert report.accuracy == pytest.approx(sklearn.accuracy_score(truth, guess), **EXACT)
    assert report.macro_f1 == pytest.approx(sklearn.f1_score(truth, guess, average="macro"), **EXACT)
    assert report.auroc == pytest.approx(np.mean(areas), **EXACT)
    assert report.confusion.names == (*answers.labels, "okapi")
    assert "'okapi' (5 rows)" in report.notes["labels"]
    assert "'okapi' (5 rows)" in str(report)


def test_one_class_alone_has_no_auroc(spark: SparkSession) -> None:
    rows = [("cat", "cat", [0.9, 0.1], None), ("cat", "dog", [0.3, 0.7], None)]
    report = classification(spark.createDataFrame(rows, SCHEMA), labels=["cat", "dog"])
    assert (report.accuracy, report.auroc, report.average_precision) == (0.5, None, None)
    assert "pair of a positive and a negative row" in report.notes["auroc"]
    assert report.per_class["cat"].average_precision == 1
    assert report.per_class["dog"].recall is None
    assert report.per_class["dog"].precision == 0
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["auroc"] is None
    assert len(report.plot().axes) == 4


def test_a_class_without_rows_leaves_the_mean_and_a_note(spark: SparkSession) -> None:
    rows = [("cat", "cat", [0.9, 0.1, 0.0], None), ("dog", "dog", [0.3, 0.7, 0.0], None)]
    report = classification(spark.createDataFrame(rows, SCHEMA), labels=["cat", "dog", "okapi"])
    assert report.auroc == 1
    assert "mean of 2 of 3 labels" in report.notes["auroc"]


@pytest.mark.parametrize("rows", [[], [("cat", None, None, "broken")]], ids=["no rows", "all failed"])
def test_nothing_to_measure_is_no_number(spark: SparkSession, rows: list[tuple[object, ...]]) -> None:
    report = classification(spark.createDataFrame(rows, SCHEMA), labels=["cat", "dog"])
    numbers = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (report.counts.rows, report.counts.failed, report.counts.measured) == (len(rows), len(rows), 0)
    assert {numbers[name] for name in ("accuracy", "macro_f1", "auroc", "log_loss", "calibration_error")} == {None}
    assert report.notes["accuracy"] == "no row has both a truth and an answer"
    assert "0 rows measured" in str(report)
    assert len(report.plot().axes) == 4


def test_without_probabilities_or_their_order_the_rest_is_measured(spark: SparkSession) -> None:
    table = spark.createDataFrame([("dog", "dog", [1.0, 0.0], None), ("cat", "dog", [0.5, 0.5], None)], SCHEMA)
    unordered, unlikely = classification(table), classification(table.select("label", "prediction"))
    assert unordered.labels == unlikely.labels == ("cat", "dog")
    assert unordered.accuracy == unlikely.accuracy == 0.5
    assert unordered.log_loss is None
    assert "pass labels" in unordered.notes["auroc"]
    assert unlikely.notes["log_loss"] == "there is no column 'probability'"


def test_curves_of_many_labels_are_left_out_unless_asked_for(spark: SparkSession) -> None:
    answers = random_answers(4, rows=40)
    short = classification(answers.table(spark), labels=answers.labels, max_curves=3, intervals=0)
    assert (short.auroc, short.curves) == (None, {})
    assert "max_curves=4" in short.notes["auroc"]
    assert short.log_loss == pytest.approx(
        sklearn.log_loss(answers.truth, answers.probability, labels=answers.labels), **EXACT
    )


def test_a_missing_probability_leaves_its_row_out_of_what_needs_it(spark: SparkSession) -> None:
    answers = random_answers(3, rows=60)
    bad = [(answers.labels[0], answers.labels[0], p, None) for p in (None, [float("nan"), 0.5, 0.5], [None, 0.5, 0.5])]
    table = answers.table(spark).union(spark.createDataFrame(bad, SCHEMA))
    report = classification(table, labels=answers.labels, intervals=0)
    assert report.counts.measured == 63
    assert "3 measured rows" in report.notes["probability"]
    p = answers.probability
    assert report.log_loss == pytest.approx(sklearn.log_loss(answers.truth, p, labels=answers.labels), **EXACT)
    auroc = sklearn.roc_auc_score(answers.truth, p, multi_class="ovr", labels=answers.labels)
    assert report.auroc == pytest.approx(auroc, **EXACT)


def test_curves_are_thinned_but_stay_on_the_curve(spark: SparkSession) -> None:
    random = np.random.default_rng(0)
    positive = random.random(4000) < 0.03
    score = np.clip(random.normal(0.35 + 0.2 * positive, 0.1), 0, 1)
    table = spark.createDataFrame(pd.DataFrame({"truth": positive, "score": score})).select(
        F.when(F.col("truth"), "yes").otherwise("no").alias("label"),
        F.lit("no").alias("prediction"),
        F.array(1 - F.col("score"), F.col("score")).alias("probability"),
    )
    report = classification(table, labels=["no", "yes"], intervals=0)
    curve = report.curves["yes"]
    wrong, right, thresholds = sklearn.roc_curve(positive, score, drop_intermediate=False)
    exact = {threshold: point for threshold, *point in zip(thresholds, wrong, right, strict=True)}
    assert 100 < len(curve.thresholds) < 200
    for threshold, *point in zip(curve.thresholds, curve.false_positive_rate, curve.recall, strict=True):
        assert point == pytest.approx(exact[threshold], **EXACT)
    assert (curve.recall[-1], curve.false_positive_rate[-1]) == (1, 1)
    assert np.trapezoid([0, *curve.recall], [0, *curve.false_positive_rate]) == pytest.approx(report.auroc, abs=0.005)
    assert -np.sum(np.diff([0, *curve.recall]) * -np.array(curve.precision)) == pytest.approx(
        report.average_precision, abs=0.02
    )


def _multi_label(scored: DataFrame) -> object:
    return multi_label(scored.withColumns({name: F.array(name) for name in ("label", "prediction")}), labels=THREE)


THREE = ["0", "1", "2"]
MEASURES: dict[str, Callable[[DataFrame], object]] = {
    "classification": lambda scored: classification(scored, labels=THREE),
    "multi_label": _multi_label,
    "temperature": lambda scored: fit_temperature(scored, labels=THREE),
    "threshold": lambda scored: threshold_for_precision(scored, precision=0.1, labels=THREE),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_each_row_of_an_expensive_model_is_evaluated_once(
    spark: SparkSession, tmp_path: Path, measure: Callable[[DataFrame], object]
) -> None:
    folder = str(tmp_path)

    def answer(ids: pd.Series) -> pd.DataFrame:
        with Path(folder, str(os.getpid())).open("a") as log:
            log.writelines(f"{row}\n" for row in ids)
        names = ids.mod(3).map(str)
        return pd.DataFrame({"prediction": names, "probability": [[0.2, 0.3, 0.5]] * len(ids), "error": None})

    model = F.pandas_udf(answer, "prediction string, probability array<float>, error string").asNondeterministic()
    scored = (
        spark.range(300, numPartitions=3)
        .withColumn("answer", model("id"))
        .select((F.col("id") % 3).cast("string").alias("label"), "answer.*")
    )
    measure(scored)
    evaluated = [line for log in tmp_path.iterdir() for line in log.read_text().split()]
    assert sorted(map(int, evaluated)) == list(range(300))


def test_nothing_stays_persisted(spark: SparkSession) -> None:
    if not hasattr(spark, "_jsparkSession"):
        pytest.skip("Spark Connect does not show what is persisted")
    spark.catalog.clearCache()
    logits = spark.createDataFrame([("cat", "cat", [3.2, 0.0], None)], SCHEMA)
    with pytest.raises(InputError, match=r"3\.2, which is no probability"):
        classification(logits, labels=["cat", "dog"])
    assert spark._jsparkSession.sharedState().cacheManager().isEmpty()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["cat", "dog", "okapi"]}, "There are 3 labels, but rows whose probability has 2 numbers"),
        ({"labels": ["cat", "dog"], "label": "lable"}, "There is no column 'lable'; did you mean 'label'"),
        ({"labels": ["cat", "dog"], "label": "probability"}, "'probability' is array<double>; want the class's name"),
        ({"labels": ["cat", "dog"], "probability": "label"}, "'label' is string; want array<float>"),
    ],
)
def test_unusable_columns_are_named(spark: SparkSession, arguments: dict[str, object], message: str) -> None:
    table = spark.createDataFrame([("cat", "cat", [0.9, 0.1], None)], SCHEMA)
    with pytest.raises(InputError, match=message):
        classification(table, **arguments)


def test_impossible_settings_are_refused(spark: SparkSession) -> None:
    table = spark.createDataFrame([("cat", "cat", [0.9, 0.1], None)], SCHEMA)
    with pytest.raises(SettingError, match="bins=0"):
        classification(table, bins=0)
    with pytest.raises(SettingError, match="each class's name once"):
        classification(table, labels=["cat", "cat"])
    with pytest.raises(SettingError, match="intervals=-1"):
        compare(table, "prediction", "label", intervals=-1)


def test_a_comparison_is_paired(spark: SparkSession) -> None:
    answers = random_answers(3, rows=200)
    random = np.random.default_rng(2)
    other = np.where(random.random(200) < 0.1, answers.labels[0], answers.prediction)
    rows = [*zip(answers.truth.tolist(), answers.prediction.tolist(), other.tolist(), strict=True), ("x", "x", None)]
    table = spark.createDataFrame(rows, "label string, large string, small string")
    comparison = compare(table, "large", "small", intervals=2000)
    assert (comparison.rows, comparison.measured) == (201, 200)
    f1 = [sklearn.f1_score(answers.truth, guess, average="macro") for guess in (answers.prediction, other)]
    assert (comparison.macro_f1_a, comparison.macro_f1_b) == pytest.approx(tuple(f1), **EXACT)
    right, right_other = answers.prediction == answers.truth, other == answers.truth
    assert comparison.accuracy_difference == pytest.approx(right.mean() - right_other.mean(), **EXACT)
    drawn = [random.integers(0, 200, 200) for _ in range(2000)]
    differences = [right[rows].mean() - right_other[rows].mean() for rows in drawn]
    assert comparison.intervals["accuracy"] == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=0.012)
    assert "a - b" in str(comparison)
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_a_comparison_without_rows_is_no_number(spark: SparkSession) -> None:
    nothing = compare(spark.createDataFrame([], "label string, a string, b string"), "a", "b")
    assert nothing.accuracy_difference is None
    assert "0 rows measured" in str(nothing)


def test_plotting_is_lazy_and_leaves_pyplot_alone() -> None:
    code = (
        "import sys, brightspark.core.metrics; assert 'matplotlib' not in sys.modules\n"
        "import brightspark.core.classification_plot; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
