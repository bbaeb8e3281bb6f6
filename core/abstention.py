"""Abstention: how sure a classifier must be for its answers to be as precise as wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from brightspark.core.confusion import COVERAGE
from brightspark.core.errors import InputError, SettingError
from brightspark.core.probability_scores import count_usable, with_probability_facts
from brightspark.core.ranking_curves import running_counts
from brightspark.core.scored_rows import column, known_labels, number_array, text_column


@dataclass(frozen=True)
class AnswerThreshold:
    """The lowest confidence at which answers are precise enough, and what it costs."""

    threshold: float
    """answer where the highest probability is at least this"""
    precision: float
    """share of the answers that are right"""
    precision_low: float
    """lower end of the precision's 95 % Wilson interval"""
    coverage: float
    """share of the rows that is still answered"""
    answered: int
    rows: int
    """rows with a truth and a usable probability"""
    left_out: int
    """rows that failed, have no truth, or hold a null or NaN among their probabilities"""

    def __str__(self) -> str:
        return (
            f"threshold {self.threshold:.4f}: precision {self.precision:.4f} (at least {self.precision_low:.4f}), "
            f"coverage {self.coverage:.1%}: {self.answered:,} of {self.rows:,} rows"
        )


def threshold_for_precision(
    scored: DataFrame,
    *,
    precision: float,
    label: str = "label",
    probability: str = "probability",
    error: str = "error",
    labels: Sequence[str] | None = None,
) -> AnswerThreshold:
    """Finds the lowest confidence whose answers reach a precision: the share of right ones among those given.

    Reads `label` (string), `probability` (array<float|double> in the order of `labels`) and, where it is there,
    `error`. The answer is the most probable label, its probability the confidence; a prediction is not read. A truth
    that is not among the labels counts as wrong. Every confidence that occurs is tried: rows are counted by it and
    added up from the highest down, one task's work, sorted on disk where memory ends. What is collected is two rows.

    The threshold is chosen by these very rows, so `precision` and its interval (Wilson 1927,
    https://doi.org/10.2307/2276774) are a little too kind: measure it on other rows, and beware of few.

    - labels: every class, in the order of `probability`; by default those in the column's metadata.

    Raises InputError where no threshold reaches the precision (it names the best that one does), where no row can be
    used, and for columns that are missing or unusable, also where they hold several labels a row: that is
    `brightspark.core.label_threshold`. SettingError for a precision that is not above 0 and at most 1.

    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.getOrCreate()
    >>> rows = [("cat", [0.9, 0.1]), ("cat", [0.8, 0.2]), ("dog", [0.7, 0.3]), ("dog", [0.4, 0.6])]
    >>> scored = spark.createDataFrame(rows, "label string, probability array<double>")
    >>> found = threshold_for_precision(scored, precision=1.0, labels=["cat", "dog"])
    >>> found.threshold, found.coverage
    (0.8, 0.5)
    """
    known = checked_labels(scored, labels, probability, precision)
    if label in scored.columns and isinstance(scored.schema[label].dataType, ArrayType):
        raise InputError(f"The column {label!r} holds several labels a row: use label_threshold_for_precision.")
    answered = column(error).isNull() if error in scored.columns else F.lit(True)
    truth, numbers = text_column(scored, label), number_array(scored, probability)
    rows = scored.select(F.when(answered, truth).alias("truth"), F.when(answered, numbers).alias("probability"))
    rows = with_probability_facts(rows, known).withColumn("lowest", F.array_min("probability").cast("double"))
    rows = rows.select("width", "usable", "lowest", "confidence", "truth_place", "top").persist()
    try:
        total, left_out = count_usable(rows, known)
        answers = rows.filter("usable").select(
            F.col("confidence").alias("score"), (F.col("truth_place") == F.col("top")).alias("right")
        )
        above, true, score = lowest_reaching(
            answers, precision, lambda answered: f"answers {answered / total:.2%} of {total:,} rows"
        )
    finally:
        rows.unpersist()
    return AnswerThreshold(
        threshold=score,
        precision=true / above,
        precision_low=wilson_low(true, above),
        coverage=above / total,
        answered=above,
        rows=total,
        left_out=left_out,
    )


def wilson_low(hits: int, rows: int) -> float:
    """The lower end of a share's Wilson interval that covers `confusion.COVERAGE`.

    >>> round(wilson_low(95, 100), 4)
    0.8882
    """
    z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
    share = hits / rows
    middle = share + z * z / (2 * rows)
    spread = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return max(0.0, (middle - spread) / (1 + z * z / rows))


def checked_labels(
    scored: DataFrame, labels: Sequence[str] | None, probability: str, precision: float
) -> tuple[str, ...]:
    """The labels in the probability's order; raises where nobody knows them, and for a precision that cannot be."""
    if not 0 < precision <= 1:
        raise SettingError(f"precision={precision}: want a share of right answers above 0 and at most 1, such as 0.95.")
    known = known_labels(scored, labels, (probability,))
    if not known:
        raise InputError("The order of the labels is not known: pass labels=… in the order of the probability.")
    return known


def lowest_reaching(answers: DataFrame, precision: float, costs: Callable[[int], str]) -> tuple[int, int, float]:
    """The lowest `score` at and above which the share of `right` answers is the precision.

    How many answers there are at and above it, how many of them are right, and the score. Raises InputError where none
    is precise enough; `costs` words what so many answers are.
    """
    counted = answers.groupBy(F.lit(0).alias("class"), "score").agg(
        F.count("*").alias("rows"), F.count_if("right").alias("hits")
    )
    reached = F.col("true") / F.col("above")
    point = F.struct("above", "true", "score")
    found = (
        running_counts(counted)
        .agg(
            F.max(F.when(reached >= precision, point)).alias("lowest"),
            F.max(F.struct(reached.alias("precision"), point.alias("point"))).alias("best"),
        )
        .collect()[0]
    )
    if found.lowest is None:
        best = found.best.point
        raise InputError(
            f"No threshold reaches a precision of {precision:g}: the best is {found.best.precision:.4f}, at "
            f"{best.score:.4f}, which {costs(best.above)}. Ask for less, or train more."
        )
    above, true, score = found.lowest
    return above, true, score
