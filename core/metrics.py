"""Classification metrics as Spark aggregations: a scored table in, a small report out.

Each number's definition and source stand where it is computed: `confusion.headline`,
`probability_scores.probability_scores`, `ranking_curves.ranking_curves`. What is collected is counts per pair of
truth and prediction, per bin and per point of a curve: bounded by the classes, not by the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brightspark.core.classification_notes import report_notes
from brightspark.core.classification_report import (
    ClassificationReport,
    ClassScores,
    Comparison,
    RowCounts,
)
from brightspark.core.confusion import Confusion, Interval, PairedOutcome, confusion_intervals, headline
from brightspark.core.errors import SettingError
from brightspark.core.probability_scores import (
    ProbabilityScores,
    probability_scores,
    with_probability_facts,
)
from brightspark.core.ranking_curves import RankingCurve, asked_classes, mean_area, ranking_curves
from brightspark.core.scored_rows import (
    Pairs,
    bounded_collect,
    count_pairs,
    known_labels,
    measurable_rows,
    text_column,
)

__all__ = ["ClassificationReport", "Comparison", "classification", "compare"]


def classification(
    scored: DataFrame,
    *,
    label: str = "label",
    prediction: str = "prediction",
    probability: str = "probability",
    error: str = "error",
    labels: Sequence[str] | None = None,
    bins: int = 15,
    intervals: int = 1000,
    max_curves: int = 50,
    seed: int = 0,
) -> ClassificationReport:
    """Measures a classifier's answers against the truth.

    Reads the columns `label` (string, the truth), `prediction` (string) and, where they are there, `probability`
    (array<float|double> in the order of `labels`) and `error` (string, null where answered). Each row of `scored` is
    evaluated once, also when a model hides in it: the few columns needed are persisted while this function runs.

    A row with a probability but a null prediction and no error is one where the model abstained; any other without a
    prediction, or with an error, is failed; an answered row with a null label is unlabelled. All three are counted and
    take no part in the numbers. A truth that is not among the labels counts as wrong, is a class of its
    own in the means over classes, and is named in the report's notes. A null or NaN probability leaves its row out of
    the numbers that need one, with a note.

    - labels: every class the model knows, in the order of `probability`; by default those in the metadata of the
      probability or prediction column, else the names that occur, and then `probability` is not read. Of two labels
      the last is the positive class.
    - bins: of the calibration error, equal in width.
    - intervals: bootstrap replicates, 0 for no intervals; drawn from the counts, without another pass over the rows.
    - max_curves: with more labels than this AUROC and average precision are left out, because they count every
      probability of every row. Raise it to ask for them.

    Raises InputError for columns that are missing or unusable, SettingError for settings that cannot work.

    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.getOrCreate()
    >>> rows = [("cat", "cat", [0.9, 0.1]), ("dog", "dog", [0.2, 0.8]), ("cat", "dog", [0.4, 0.6])]
    >>> scored = spark.createDataFrame(rows, "label string, prediction string, probability array<double>")
    >>> report = classification(scored, labels=["cat", "dog"])
    >>> report.confusion.cells["cat", "dog"], report.auroc
    (1, 1.0)
    """
    if bins < 1 or intervals < 0 or max_curves < 0:
        raise SettingError(
            f"bins={bins}, intervals={intervals}, max_curves={max_curves}: want bins ≥ 1, the others ≥ 0."
        )
    known = known_labels(scored, labels, (probability, prediction))
    readable = bool(known) and probability in scored.columns
    rows = measurable_rows(
        scored, label=label, prediction=prediction, probability=probability, error=error, readable=readable
    )
    if readable:
        rows = with_probability_facts(rows, known)
    with_curves = readable and len(known) <= max_curves
    rows = (rows if with_curves else rows.drop("probability")).persist()
    try:
        pairs = count_pairs(rows, known)
        scores = probability_scores(rows, classes=len(known), bins=bins) if readable else ProbabilityScores()
        curves = _label_curves(rows, pairs, known) if with_curves else {}
    finally:
        rows.unpersist()
    notes = report_notes(
        pairs, known, curves, no_column="" if probability in scored.columns else probability, max_curves=max_curves
    )
    confusion = _confusion(pairs.confusion, known)
    drawn = confusion_intervals(confusion, replicates=intervals, seed=seed)
    return _report(pairs, known or confusion.names, confusion, scores, curves, drawn, notes)


def compare(
    scored: DataFrame,
    prediction_a: str,
    prediction_b: str,
    *,
    label: str = "label",
    intervals: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Measures two classifiers' predictions of the same rows against each other.

    Reads the string columns `label`, `prediction_a` and `prediction_b`; rows where one of them is null take no part.
    The intervals are paired: each bootstrap replicate draws rows with their truth and both predictions (from the
    counts of these triples), so that what both models find hard cancels out. An interval without 0 tells the models
    apart.

    Raises InputError for columns that are missing or hold no strings.

    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.getOrCreate()
    >>> rows = [("cat", "cat", "cat"), ("dog", "dog", "cat"), ("dog", "dog", "dog"), ("cat", "cat", None)]
    >>> scored = spark.createDataFrame(rows, "label string, small string, tiny string")
    >>> difference = compare(scored, "small", "tiny")
    >>> difference.measured, round(difference.accuracy_difference, 2)
    (3, 0.33)
    """
    if intervals < 0:
        raise SettingError(f"intervals={intervals}: want 0 or more bootstrap replicates.")
    columns = (label, prediction_a, prediction_b)
    rows = scored.select(*(text_column(scored, name).alias(f"_{place}") for place, name in enumerate(columns)))
    found = bounded_collect(rows.groupBy(*rows.columns).agg(F.count("*").alias("rows")))
    triples = {row[:3]: row.rows for row in found if None not in row[:3]}
    total = sum(row.rows for row in found)
    if not triples:
        return Comparison(total, 0, None, None, None, None, {})
    outcome = PairedOutcome.of(triples)
    a, b = outcome.headlines()
    return Comparison(
        rows=total,
        measured=sum(triples.values()),
        accuracy_a=a["accuracy"],
        accuracy_b=b["accuracy"],
        macro_f1_a=a["macro_f1"],
        macro_f1_b=b["macro_f1"],
        intervals=outcome.intervals(replicates=intervals, seed=seed),
    )


def _label_curves(rows: DataFrame, pairs: Pairs, known: Sequence[str]) -> dict[str, RankingCurve]:
    positives = {place: pairs.usable[name] for place, name in enumerate(known) if pairs.usable.get(name)}
    if not positives:
        return {}
    is_positive = F.col("truth_place") == F.col("class")
    curves = ranking_curves(rows.filter("usable"), is_positive, positives, sum(pairs.usable.values()))
    return {known[place]: curve for place, curve in curves.items()}


def _confusion(cells: Mapping[tuple[str, str], int], known: Sequence[str]) -> Confusion:
    others = {name for pair in cells for name in pair} - set(known)
    return Confusion(names=(*known, *sorted(others)), cells=cells)


def _report(
    pairs: Pairs,
    labels: tuple[str, ...],
    confusion: Confusion,
    scores: ProbabilityScores,
    curves: Mapping[str, RankingCurve],
    intervals: Mapping[str, Interval],
    notes: Mapping[str, str],
) -> ClassificationReport:
    rows = confusion.tally()
    numbers = headline(rows) if pairs.measured else {}
    return ClassificationReport(
        labels=labels,
        counts=RowCounts(
            rows=pairs.rows,
            answered=pairs.rows - pairs.abstained - pairs.failed,
            abstained=pairs.abstained,
            failed=pairs.failed,
            unlabelled=pairs.unlabelled,
            measured=pairs.measured,
        ),
        confusion=confusion,
        accuracy=numbers.get("accuracy"),
        balanced_accuracy=numbers.get("balanced_accuracy"),
        macro_f1=numbers.get("macro_f1"),
        weighted_f1=numbers.get("weighted_f1"),
        top_k_accuracy=scores.top_k_accuracy,
        auroc=mean_area(curves, asked_classes(labels), "auroc"),
        average_precision=mean_area(curves, asked_classes(labels), "average_precision"),
        log_loss=scores.log_loss,
        brier=scores.brier,
        calibration_error=scores.calibration_error,
        per_class={
            name: ClassScores.of(int(hits), int(truths), int(guesses), curves.get(name))
            for name, hits, truths, guesses in zip(confusion.names, *rows, strict=True)
        },
        reliability=scores.reliability,
        curves=curves,
        intervals=intervals,
        notes=notes,
    )
