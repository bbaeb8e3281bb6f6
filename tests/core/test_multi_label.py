"""Every number of a multi-label report equals scikit-learn's; what has no number, or no label, is said."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.special import expit
from sklearn import metrics as sklearn

from brightspark.core import report as page
from brightspark.core.calibration import fit_temperature, rescaled
from brightspark.core.classification_report import RowCounts
from brightspark.core.errors import InputError, SettingError
from brightspark.core.multi_label import multi_label
from brightspark.core.multi_label_blocks import label_reliability_blocks, multi_label_blocks
from brightspark.core.multi_label_report import SUMMARY

EXACT = {"rel": 0, "abs": 1e-9}
SCHEMA = "label array<string>, prediction array<string>, probability array<double>, error string"


@dataclass(frozen=True)
class Answers:
    """Answers of independent labels, half of them with coarse probabilities that tie."""

    labels: list[str]
    truth: NDArray[np.bool_]
    guess: NDArray[np.bool_]
    probability: NDArray[np.float64]

    def names(self, present: NDArray[np.bool_]) -> list[str]:
        return [name for name, there in zip(self.labels, present, strict=True) if there]

    def rows(self) -> list[tuple[object, ...]]:
        columns = zip(self.truth, self.guess, self.probability.tolist(), strict=True)
        return [(self.names(truth), self.names(guess)[::-1], p, None) for truth, guess, p in columns]

    def table(self, spark: SparkSession, *more: tuple[object, ...]) -> DataFrame:
        return spark.createDataFrame([*self.rows(), *more], SCHEMA)


def random_answers(labels: int, rows: int = 200, seed: int = 0) -> Answers:
    random = np.random.default_rng(seed)
    probability = random.beta(0.6, 1.2, (rows, labels))
    probability[::2] = np.round(probability[::2] * 8) / 8
    truth = random.random(probability.shape) < probability
    return Answers([f"label {place:02}" for place in range(labels)], truth, probability >= 0.5, probability)


def calibration_error(truth: NDArray[np.bool_], probability: NDArray[np.float64], bins: int = 15) -> float:
    """Guo's, over all pairs of row and label: the share that holds against the mean probability, bin by bin."""
    holds, p = truth.ravel(), probability.ravel()
    number = np.clip(np.ceil(p * bins), 1, bins)
    gaps = [abs(holds[number == one].sum() - p[number == one].sum()) for one in range(1, bins + 1)]
    return float(sum(gaps) / len(p))


@pytest.mark.parametrize("labels", [1, 2, 14])
def test_every_number_equals_scikit_learns(spark: SparkSession, labels: int) -> None:
    answers = random_answers(labels)
    report = multi_label(answers.table(spark), labels=answers.labels, intervals=0)
    y, guess, p = answers.truth.astype(int), answers.guess.astype(int), answers.probability
    by_label = range(labels)
    expected = {
        "mean_average_precision": np.mean([sklearn.average_precision_score(y[:, i], p[:, i]) for i in by_label]),
        "auroc": np.mean([sklearn.roc_auc_score(y[:, i], p[:, i]) for i in by_label]),
        "macro_f1": np.mean([sklearn.f1_score(y[:, i], guess[:, i]) for i in by_label]),
        "micro_f1": sklearn.f1_score(y.ravel(), guess.ravel()),
        "exact_match": (y == guess).all(axis=1).mean(),
        "hamming_loss": sklearn.hamming_loss(y, guess),
        "log_loss": sklearn.log_loss(y.ravel(), p.ravel(), labels=[0, 1]),
        "calibration_error": calibration_error(answers.truth, p),
    }
    if labels > 1:  # of one column scikit-learn thinks as of two classes
        assert expected == pytest.approx(
            {
                **expected,
                "mean_average_precision": sklearn.average_precision_score(y, p, average="macro"),
                "auroc": sklearn.roc_auc_score(y, p, average="macro"),
                "macro_f1": sklearn.f1_score(y, guess, average="macro"),
                "micro_f1": sklearn.f1_score(y, guess, average="micro"),
                "exact_match": sklearn.accuracy_score(y, guess),
                "hamming_loss": sklearn.hamming_loss(y, guess),
            },
            **EXACT,
        )
    assert {name: getattr(report, name) for name in expected} == pytest.approx(expected, **EXACT)
    for place, name in enumerate(answers.labels):
        scores, truth, answer = report.per_label[name], y[:, place], guess[:, place]
        precision, recall, f1, _ = sklearn.precision_recall_fscore_support(truth, answer, average="binary")
        assert scores.support == truth.sum()
        assert (scores.precision, scores.recall, scores.f1) == pytest.approx((precision, recall, f1), **EXACT)
        areas = (sklearn.roc_auc_score(truth, p[:, place]), sklearn.average_precision_score(truth, p[:, place]))
        assert (scores.auroc, scores.average_precision) == pytest.approx(areas, **EXACT)
    assert not report.notes


def test_the_bins_of_the_calibration_error_hold_all_pairs(spark: SparkSession) -> None:
    answers = random_answers(5)
    report = multi_label(answers.table(spark), labels=answers.labels, bins=8, intervals=0)
    holds, p = answers.truth.ravel(), answers.probability.ravel()
    assert report.calibration_error == pytest.approx(calibration_error(answers.truth, answers.probability, 8), **EXACT)
    assert sum(step.rows for step in report.reliability) == holds.size
    for step in report.reliability:
        inside = (p > step.low if step.low else p >= 0) & (p <= step.high)
        assert step.rows == inside.sum()
        assert (step.confidence, step.accuracy) == pytest.approx((p[inside].mean(), holds[inside].mean()), **EXACT)
    assert report.to_dict()["reliability"][0]["rows"] == report.reliability[0].rows


def test_a_temperature_makes_labels_honest_and_the_report_says_so(spark: SparkSession) -> None:
    random = np.random.default_rng(5)
    logits = 2 * random.normal(size=(1500, 4)) - 1
    truth = random.random(logits.shape) < expit(logits)
    sure = Answers([f"label {place}" for place in range(4)], truth, logits > 0, expit(4 * logits))
    scored = sure.table(spark).withColumn("probability", F.col("probability").cast("array<float>"))
    found = fit_temperature(scored, labels=sure.labels)
    after = scored.withColumn("probability", rescaled("probability", found.temperature, independent=True))
    then, now = (multi_label(rows, labels=sure.labels, intervals=0) for rows in (scored, after))
    assert then.log_loss == pytest.approx(found.log_loss_before, **EXACT)
    assert now.log_loss == pytest.approx(found.log_loss_after, **EXACT)
    assert then.calibration_error > 0.08
    assert now.calibration_error < 0.03
    assert now.hamming_loss == then.hamming_loss


def test_numbers_that_are_no_probabilities_are_refused(spark: SparkSession) -> None:
    table = spark.createDataFrame([(["a"], ["a"], [3.2, -1.0], None)], SCHEMA)
    with pytest.raises(InputError, match=r"holds -1, which is no probability.*sigmoid"):
        multi_label(table, labels=["a", "b"])


def test_labels_without_a_positive_are_left_out_and_named(spark: SparkSession) -> None:
    answers = random_answers(4)
    answers.truth[:, 1] = False
    answers.guess[:, 1] = False
    report = multi_label(answers.table(spark), labels=answers.labels, intervals=0)
    y, p = answers.truth.astype(int), answers.probability
    areas = [sklearn.average_precision_score(y[:, i], p[:, i]) for i in (0, 2, 3)]
    assert report.mean_average_precision == pytest.approx(np.mean(areas), **EXACT)
    f1 = sklearn.f1_score(y, answers.guess, average="macro", zero_division=np.nan)
    assert report.macro_f1 == pytest.approx(f1, **EXACT)
    assert report.notes["mean_average_precision"] == "the mean of 3 of 4 labels: no positive row of 'label 01'"
    assert "'label 01'" in report.notes["auroc"]
    assert report.per_label["label 01"].average_precision is None


def test_failed_and_unlabelled_rows_are_counted_and_left_out(spark: SparkSession) -> None:
    answers = random_answers(3, rows=50)
    sure = [0.9, 0.9, 0.9]
    other = [
        (["label 00"], None, None, "OSError: vanished"),
        (["label 00"], ["label 01"], sure, "late"),
        (["label 00"], None, sure, None),
        (None, None, None, "OSError: vanished"),
        (None, ["label 00"], sure, None),
    ]
    report, alone = (
        multi_label(answers.table(spark, *more), labels=answers.labels, intervals=0) for more in (other, [])
    )
    assert report.counts == RowCounts(rows=55, answered=51, abstained=0, failed=4, unlabelled=1, measured=50)
    assert {name: getattr(report, name) for name in SUMMARY} == pytest.approx(
        {name: getattr(alone, name) for name in SUMMARY}, **EXACT
    )


def test_names_that_the_model_does_not_know_count_as_missed(spark: SparkSession) -> None:
    answers = random_answers(3, rows=50)
    strange = [(["okapi", "label 00"], ["label 00"], [0.9, 0.2, 0.2], None)] * 4
    report = multi_label(answers.table(spark, *strange), labels=answers.labels, intervals=0)
    y = np.block([[answers.truth, np.zeros((50, 1))], [np.tile([1, 0, 0, 1], (4, 1))]]).astype(int)
    guess = np.block([[answers.guess, np.zeros((50, 1))], [np.tile([1, 0, 0, 0], (4, 1))]]).astype(int)
    p = np.vstack([answers.probability, np.tile([0.9, 0.2, 0.2], (4, 1))])
    expected = {
        "mean_average_precision": sklearn.average_precision_score(y[:, :3], p, average="macro"),
        "macro_f1": sklearn.f1_score(y, guess, average="macro", zero_division=0),
        "micro_f1": sklearn.f1_score(y, guess, average="micro"),
        "exact_match": sklearn.accuracy_score(y, guess),
        "hamming_loss": sklearn.hamming_loss(y, guess),
        "log_loss": sklearn.log_loss(y[:, :3].ravel(), p.ravel()),
        "calibration_error": calibration_error(y[:, :3].astype(bool), p),
    }
    assert {name: getattr(report, name) for name in expected} == pytest.approx(expected, **EXACT)
    assert "'okapi' (4 rows)" in report.notes["labels"]
    assert report.per_label["okapi"].recall == 0
    assert report.labels == tuple(answers.labels)


def test_repeats_nulls_and_order_within_a_row_do_not_matter(spark: SparkSession) -> None:
    rows = [(["a", "b", None, "a"], ["b", "a", "b"], [0.9, 0.8], None), ([], [], [0.1, 0.2], None)]
    report = multi_label(spark.createDataFrame(rows, SCHEMA), labels=["a", "b"])
    assert (report.exact_match, report.hamming_loss, report.micro_f1) == (1, 0, 1)
    assert report.per_label["a"].support == 1


def test_a_missing_probability_leaves_its_row_out_of_the_areas(spark: SparkSession) -> None:
    answers = random_answers(3, rows=50)
    bad = [(["label 00"], ["label 00"], p, None) for p in (None, [math.nan, 0.5, 0.5], [None, 0.5, 0.5])]
    report = multi_label(answers.table(spark, *bad), labels=answers.labels, intervals=0)
    area = sklearn.average_precision_score(answers.truth.astype(int), answers.probability, average="macro")
    assert report.mean_average_precision == pytest.approx(area, **EXACT)
    loss = sklearn.log_loss(answers.truth.ravel(), answers.probability.ravel())
    assert report.log_loss == pytest.approx(loss, **EXACT)
    assert report.counts.measured == 53
    assert "null or NaN in 3 measured rows" in report.notes["probability"]


def test_labels_come_from_the_columns_metadata_or_from_the_rows(spark: SparkSession) -> None:
    answers = random_answers(3, rows=50)
    table = answers.table(spark)
    told = multi_label(table.withMetadata("prediction", {"brightspark": {"labels": answers.labels}}), intervals=0)
    assert told.mean_average_precision is not None
    assert told.labels == tuple(answers.labels)
    untold = multi_label(table, intervals=0)
    assert (untold.labels, untold.mean_average_precision, untold.log_loss) == (told.labels, None, None)
    assert "pass labels" in untold.notes["mean_average_precision"]
    assert untold.macro_f1 == told.macro_f1
    unlikely = multi_label(table.drop("probability"), labels=answers.labels, intervals=0)
    needing = ("auroc", "log_loss", "calibration_error")
    assert {unlikely.notes[name] for name in needing} == {"there is no column 'probability'"}


def test_intervals_are_those_of_resampled_rows(spark: SparkSession) -> None:
    answers = random_answers(4, rows=150)
    report = multi_label(answers.table(spark), labels=answers.labels, intervals=3000)
    assert set(report.intervals) == {"micro_f1", "exact_match", "hamming_loss"}
    random = np.random.default_rng(1)
    y, guess = answers.truth, answers.guess
    drawn = [random.integers(0, 150, 150) for _ in range(3000)]
    replicates = {
        "micro_f1": [2 * (y[rows] & guess[rows]).sum() / (y[rows].sum() + guess[rows].sum()) for rows in drawn],
        "exact_match": [(y[rows] == guess[rows]).all(axis=1).mean() for rows in drawn],
        "hamming_loss": [(y[rows] != guess[rows]).mean() for rows in drawn],
    }
    for name, values in replicates.items():
        assert report.intervals[name] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.012), name


@pytest.mark.parametrize("rows", [[], [(["a"], None, None, "broken")]], ids=["no rows", "all failed"])
def test_nothing_to_measure_is_no_number(spark: SparkSession, rows: list[tuple[object, ...]]) -> None:
    report = multi_label(spark.createDataFrame(rows, SCHEMA), labels=["a", "b"])
    numbers = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert {numbers[name] for name in SUMMARY} == {None}
    assert report.counts.failed == len(rows)
    assert "mean_average_precision: no row has both a truth and an answer" in str(report)


def test_rows_without_any_label_have_no_f1(spark: SparkSession) -> None:
    report = multi_label(spark.createDataFrame([([], [], [0.1, 0.2], None)], SCHEMA), labels=["a", "b"])
    assert (report.exact_match, report.hamming_loss, report.micro_f1, report.macro_f1) == (1, 0, None, None)
    assert "names a label" in report.notes["micro_f1"]
    assert report.notes["mean_average_precision"] == "undefined: no label has a positive row"
    json.dumps(report.to_dict(), allow_nan=False)


def test_areas_of_many_labels_are_left_out_unless_asked_for(spark: SparkSession) -> None:
    answers = random_answers(3, rows=20)
    report = multi_label(answers.table(spark), labels=answers.labels, max_curves=2, intervals=0)
    assert (report.mean_average_precision, report.curves) == (None, {})
    assert report.log_loss == pytest.approx(sklearn.log_loss(answers.truth.ravel(), answers.probability.ravel()))
    assert "max_curves=3" in report.notes["auroc"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["a", "b", "c"]}, "There are 3 labels, but rows whose probability has 2 numbers"),
        ({"label": "lable"}, "There is no column 'lable'; did you mean 'label'"),
        ({"label": "error"}, "'error' is string; want array<string>"),
        ({"prediction": "probability"}, "'probability' is array<double>; want array<string>"),
        ({"probability": "label"}, "'label' is array<string>; want array<float>"),
    ],
)
def test_unusable_columns_are_named(spark: SparkSession, arguments: dict[str, object], message: str) -> None:
    table = spark.createDataFrame([(["a"], ["a"], [0.9, 0.1], None)], SCHEMA)
    with pytest.raises(InputError, match=message):
        multi_label(table, **({"labels": ["a", "b"]} | arguments))


def test_impossible_settings_are_refused(spark: SparkSession) -> None:
    table = spark.createDataFrame([], SCHEMA)
    with pytest.raises(SettingError, match="intervals=-1"):
        multi_label(table, intervals=-1)
    with pytest.raises(SettingError, match="bins=0"):
        multi_label(table, bins=0)
    with pytest.raises(SettingError, match="each class's name once"):
        multi_label(table, labels=["a", "a"])


def test_nothing_stays_persisted(spark: SparkSession) -> None:
    if not hasattr(spark, "_jsparkSession"):
        pytest.skip("Spark Connect does not show what is persisted")
    spark.catalog.clearCache()
    table = spark.createDataFrame([(["a"], ["a"], [0.9], None)], SCHEMA)
    multi_label(table.withColumn("x", F.lit(1)), labels=["a"])
    assert spark._jsparkSession.sharedState().cacheManager().isEmpty()


def test_blocks_show_the_report(spark: SparkSession, tmp_path: Path) -> None:
    rows = [
        (["a", "b"], ["a"], [0.9, 0.4, 0.1], None),
        (["b"], ["b"], [0.2, 0.8, 0.1], None),
        ([], [], [0.1, 0.3, 0.1], None),
    ]
    report = multi_label(spark.createDataFrame(rows, SCHEMA), labels=["a", "b", "c"])
    figures, table, plot, note = blocks = multi_label_blocks(report)
    assert isinstance(figures, page.Figures)
    assert isinstance(table, page.Table)
    assert isinstance(plot, page.Plot)
    assert isinstance(note, page.Note)
    assert [figure.value for figure in figures.figures] == [1.0, 0.8, pytest.approx(2 / 3)]
    assert table.rows[1][:5] == ("b", 2, 1.0, 0.5, pytest.approx(2 / 3))
    axes = plot.figure.axes[0]
    assert axes.get_title() == f"reliability (calibration error {report.calibration_error:.3f})"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("probability", "share that holds")
    assert [bar.get_height() for bar in axes.patches] == [step.accuracy for step in report.reliability]
    assert "no positive row of 'c'" in note.text
    page.write(tmp_path / "page.html", [page.Section(title="x", blocks=blocks)], title="", context={})


def test_reliability_of_labels_before_and_after_is_one_plot(spark: SparkSession, tmp_path: Path) -> None:
    answers = random_answers(3, rows=60)
    scored = answers.table(spark)
    even = scored.withColumn("probability", rescaled("probability", 3.0, independent=True))
    before, after, empty = (
        multi_label(rows, labels=answers.labels, intervals=0) for rows in (scored, even, scored.limit(0))
    )
    (plot,) = label_reliability_blocks(before, after)
    curves = {line.get_label(): line.get_xydata().tolist() for line in plot.figure.axes[0].lines}
    for name, report in (("before", before), ("after", after)):
        assert curves[name] == [[step.confidence, step.accuracy] for step in report.reliability]
    assert f"was {before.calibration_error:.3f} before and is {after.calibration_error:.3f} after" in plot.caption
    (nothing,) = label_reliability_blocks(empty, after)
    assert "was unknown before" in nothing.caption
    drawn = multi_label_blocks(empty)[2]
    assert [text.get_text() for text in drawn.figure.axes[0].texts] == ["no row has both a truth and an answer"]
    page.write(tmp_path / "page.html", [page.Section(title="x", blocks=[plot, drawn])], title="", context={})
