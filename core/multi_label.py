"""Metrics of answers that name any number of labels each, as Spark aggregations: a scored table in, a report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brightspark.core.classification_notes import (
    NEEDED,
    listed,
    missing_probability,
    strange_truths,
    too_many,
    why_unreadable,
)
from brightspark.core.classification_report import ClassScores
from brightspark.core.errors import SettingError
from brightspark.core.multi_label_counts import (
    MultiLabelCounts,
    count_label_sets,
    label_set_scores,
    measurable_label_sets,
)
from brightspark.core.multi_label_report import SUMMARY, MultiLabelReport
from brightspark.core.probability_scores import ProbabilityScores, label_scores
from brightspark.core.ranking_curves import RankingCurve, defined_areas, mean_area, ranking_curves
from brightspark.core.scored_rows import known_labels

__all__ = ["MultiLabelReport", "multi_label"]

AREAS = {"mean_average_precision": "average_precision", "auroc": "auroc"}  # metric → the area it is the mean of


def multi_label(
    scored: DataFrame,
    *,
    label: str = "label",
    prediction: str = "prediction",
    probability: str = "probability",
    error: str = "error",
    labels: Sequence[str] | None = None,
    bins: int = 15,
    intervals: int = 1000,
    max_curves: int = 200,
    seed: int = 0,
) -> MultiLabelReport:
    """Measures answers that name any number of labels against the truth.

    Reads the columns `label` and `prediction` (array<string>; an empty one says that no label holds; order and repeats
    do not matter) and, where they are there, `probability` (array<float|double> of independent probabilities, in the
    order of `labels`) and `error` (string, null where answered). Each row of `scored` is evaluated once, also when a
    model hides in it: the few columns needed are persisted while this function runs.

    A row with an error or a null prediction is failed, an answered row with a null label unlabelled: both are counted
    and take no part in the numbers. A name in the truth that is not among the labels is a label that is never found:
    it counts in every number that needs no probability, and the report's notes name it. A null or NaN probability
    leaves its row out of those that need one, with a note.

    - mean average precision, AUROC: means over labels of the exact areas (`ranking_curves`). Labels without a positive
      row have none: they are left out and named (`sklearn.metrics.average_precision_score` takes 0).
    - F1: 2 hits / (truths + answers) (van Rijsbergen 1979). Its macro mean is over the labels that occur, its micro
      mean counts all labels together (`sklearn.metrics.f1_score`, with `zero_division=nan`).
    - log loss and calibration error, over all pairs of row and label: `probability_scores.label_scores`.
    - exact match, also called subset accuracy (`sklearn.metrics.accuracy_score`); Hamming loss (`hamming_loss`).

    Settings:

    - labels: every label the model knows, in the order of `probability`; by default those in the metadata of the
      probability or prediction column, else the names that occur, and then `probability` is not read.
    - bins: of the calibration error, equal in width.
    - intervals: bootstrap replicates, 0 for no intervals. They are drawn from counts, without another pass over the
      rows, which leaves out the others: they need to know which labels, or which probabilities, go together.
    - max_curves: with more labels than this the areas are left out, because they sort every probability of every row.

    Raises InputError for columns that are missing or unusable, SettingError for settings that cannot work.

    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.getOrCreate()
    >>> rows = [(["cat", "dog"], ["cat"], [0.9, 0.4]), (["dog"], ["dog"], [0.2, 0.8]), ([], [], [0.1, 0.3])]
    >>> scored = spark.createDataFrame(rows, "label array<string>, prediction array<string>, probability array<double>")
    >>> report = multi_label(scored, labels=["cat", "dog"])
    >>> report.mean_average_precision, report.micro_f1, round(report.exact_match, 2)
    (1.0, 0.8, 0.67)
    """
    if bins < 1 or intervals < 0 or max_curves < 0:
        raise SettingError(
            f"bins={bins}, intervals={intervals}, max_curves={max_curves}: want bins ≥ 1, the others ≥ 0."
        )
    known = known_labels(scored, labels, (probability, prediction))
    readable = bool(known) and probability in scored.columns
    rows = measurable_label_sets(
        scored, known, label=label, prediction=prediction, probability=probability if readable else None, error=error
    ).persist()
    with_curves = readable and len(known) <= max_curves
    try:
        counts = count_label_sets(rows, known)
        scores = label_scores(rows, known, bins=bins) if readable else ProbabilityScores()
        curves = _label_curves(rows, counts, known) if with_curves else {}
    finally:
        rows.unpersist()
    no_column = "" if probability in scored.columns else probability
    notes = _notes(counts, known, curves, no_column=no_column, max_curves=max_curves)
    return _report(counts, known or tuple(counts.labels), scores, curves, notes, replicates=intervals, seed=seed)


def _label_curves(rows: DataFrame, counts: MultiLabelCounts, known: Sequence[str]) -> dict[str, RankingCurve]:
    positives = {place: counts.labels[name].usable for place, name in enumerate(known) if counts.labels[name].usable}
    if not positives:
        return {}
    name = F.get(F.array(*map(F.lit, known)), F.col("class"))
    curves = ranking_curves(rows.filter("usable"), F.array_contains("truth", name), positives, counts.usable)
    return {known[place]: curve for place, curve in curves.items()}


def _notes(
    counts: MultiLabelCounts,
    known: Sequence[str],
    curves: Mapping[str, RankingCurve],
    *,
    no_column: str,
    max_curves: int,
) -> dict[str, str]:
    if not counts.rows.measured:
        return dict.fromkeys(SUMMARY, "no row has both a truth and an answer")
    notes = strange_truths({name: label.truths for name, label in counts.labels.items()}, known)
    if not any(label.truths or label.guesses for label in counts.labels.values()):
        notes |= dict.fromkeys(("macro_f1", "micro_f1"), "undefined: no truth and no answer names a label")
    if unreadable := why_unreadable(known, counts.usable, no_column):
        return notes | dict.fromkeys((*AREAS, "log_loss", "calibration_error"), unreadable)
    if counts.usable < counts.rows.measured:
        notes["probability"] = missing_probability(counts.rows.measured - counts.usable)
    if len(known) > max_curves:
        return notes | dict.fromkeys(AREAS, too_many(known))
    return notes | _undefined_areas(known, curves)


def _undefined_areas(known: Sequence[str], curves: Mapping[str, RankingCurve]) -> dict[str, str]:
    notes = {}
    for metric, area in AREAS.items():
        defined = defined_areas(curves, known, area)
        missing = listed([repr(name) for name in known if name not in defined])
        if not defined:
            notes[metric] = f"undefined: no label has a {NEEDED[area]}"
        elif missing:
            notes[metric] = f"the mean of {len(defined):,} of {len(known):,} labels: no {NEEDED[area]} of {missing}"
    return notes


def _report(
    counts: MultiLabelCounts,
    labels: tuple[str, ...],
    scores: ProbabilityScores,
    curves: Mapping[str, RankingCurve],
    notes: Mapping[str, str],
    *,
    replicates: int,
    seed: int,
) -> MultiLabelReport:
    per_label = {
        name: ClassScores.of(label.hits, label.truths, label.guesses, curves.get(name))
        for name, label in counts.labels.items()
    }
    f1 = [scores.f1 for scores in per_label.values() if scores.f1 is not None]
    numbers, intervals = label_set_scores(counts, replicates=replicates, seed=seed) if counts.outcomes else ({}, {})
    return MultiLabelReport(
        labels=labels,
        counts=counts.rows,
        mean_average_precision=mean_area(curves, labels, "average_precision"),
        auroc=mean_area(curves, labels, "auroc"),
        macro_f1=sum(f1) / len(f1) if f1 else None,
        micro_f1=numbers.get("micro_f1"),
        exact_match=numbers.get("exact_match"),
        hamming_loss=numbers.get("hamming_loss"),
        log_loss=scores.log_loss,
        calibration_error=scores.calibration_error,
        per_label=per_label,
        reliability=scores.reliability,
        curves=curves,
        intervals=intervals,
        notes=notes,
    )
