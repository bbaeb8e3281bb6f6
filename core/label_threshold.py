"""Abstention from labels: how probable each of several labels must be, for those named to be as precise as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brightspark.core.abstention import checked_labels, lowest_reaching
from brightspark.core.probability_scores import count_usable, label_pairs
from brightspark.core.scored_rows import column, has_missing, number_array, text_array


@dataclass(frozen=True)
class LabelThreshold:
    """The lowest probability at which the labels that are named are precise enough, and what it costs."""

    threshold: float
    """name the labels of at least this probability: a model's setting `threshold`"""
    precision: float
    """share of the named labels that hold"""
    recall: float | None
    """share of the labels that hold which is named; None where none holds"""
    named: int
    """labels that are named, over all rows"""
    rows: int
    """rows with a truth and a usable probability"""
    left_out: int
    """rows that failed, have no truth, or hold a null or NaN among their probabilities"""

    def __str__(self) -> str:
        recall = "-" if self.recall is None else f"{self.recall:.1%}"
        return (
            f"threshold {self.threshold:.4f}: precision {self.precision:.4f}, recall {recall}: {self.named:,} labels "
            f"of {self.rows:,} rows"
        )


def label_threshold_for_precision(
    scored: DataFrame,
    *,
    precision: float,
    label: str = "label",
    probability: str = "probability",
    error: str = "error",
    labels: Sequence[str] | None = None,
) -> LabelThreshold:
    """Finds the lowest probability whose labels reach a precision: the share that holds of the labels named.

    Where a row has several labels, a model does not abstain from the row: it names the labels of at least `threshold`,
    and may name none. So what is answered is a label of a row, and the precision is over all pairs of row and label
    (micro), with one threshold for all labels, as the model's setting is. A rare label may well be less precise: the
    report's table says so.

    Reads `label` (array<string>), `probability` (array<float|double> in the order of `labels`) and, where it is there,
    `error`; a prediction is not read. Every probability that occurs is tried, as in
    `abstention.threshold_for_precision`. There is no interval, since the labels of a row go together; and the threshold
    is chosen by these very rows, so its precision is a little too kind: measure it on other rows, and beware of few.

    - labels: every label, in the order of `probability`; by default those in the column's metadata.

    Raises InputError where no threshold reaches the precision (it names the best that one does), where no row can be
    used, and for columns that are missing or unusable; SettingError for a precision that is not above 0 and at most 1.

    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.getOrCreate()
    >>> rows = [(["cat", "dog"], [0.9, 0.4]), (["dog"], [0.2, 0.8]), ([], [0.5, 0.3])]
    >>> scored = spark.createDataFrame(rows, "label array<string>, probability array<double>")
    >>> found = label_threshold_for_precision(scored, precision=1.0, labels=["cat", "dog"])
    >>> found.threshold, found.named, round(found.recall, 2)
    (0.8, 2, 0.67)
    """
    known = checked_labels(scored, labels, probability, precision)
    truth, numbers = text_array(scored, label), number_array(scored, probability).cast("array<double>")
    answered = column(error).isNull() if error in scored.columns else F.lit(True)
    usable = answered & truth.isNotNull() & (F.array_size(numbers) == len(known)) & ~has_missing(numbers)
    rows = scored.select(
        F.when(answered, F.array_size(numbers)).alias("width"),
        F.array_min(numbers).alias("lowest"),
        F.array_max(numbers).alias("confidence"),
        F.coalesce(usable, F.lit(False)).alias("usable"),
        F.array_distinct(F.array_compact(truth)).alias("truth"),
        numbers.alias("probability"),
    ).persist()
    try:
        total, left_out = count_usable(rows, known)
        kept = rows.filter("usable")
        pairs = label_pairs(kept, known).withColumnsRenamed({"p": "score", "holds": "right"})
        named, true, score = lowest_reaching(
            pairs, precision, lambda named: f"names {named:,} labels of {total:,} rows"
        )
        held = int(kept.agg(F.sum(F.size("truth"))).collect()[0][0])
    finally:
        rows.unpersist()
    return LabelThreshold(
        threshold=score,
        precision=true / named,
        recall=true / held if held else None,
        named=named,
        rows=total,
        left_out=left_out,
    )
