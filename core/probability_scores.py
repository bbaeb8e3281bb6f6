"""What predicted probabilities are worth: log loss, Brier score, top-k accuracy and calibration, in one aggregation.

Of one label a row (`probability_scores`), or of several that are independent (`label_scores`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from brightspark.core.errors import InputError
from brightspark.core.scored_rows import check_width, has_missing

SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)  # log loss clips here, as scikit-learn does for float64
TOP_K = 5  # top-k accuracy is for more classes than this
ROUNDING = 1e-3  # how far beyond 0 and 1 a probability in half precision may be


@dataclass(frozen=True)
class ReliabilityBin:
    """The rows whose highest probability lies in (low, high].

    Of several labels a row: the pairs of a row and a label whose probability lies there.
    """

    low: float
    high: float
    rows: int
    confidence: float
    """mean of the highest probability; of the pairs' probabilities"""
    accuracy: float
    """share of rows whose truth has that probability; of pairs whose label holds"""


@dataclass(frozen=True)
class ProbabilityScores:
    """Numbers over the rows that hold a usable probability; None without any."""

    log_loss: float | None = None
    brier: float | None = None
    top_k_accuracy: float | None = None
    calibration_error: float | None = None
    reliability: tuple[ReliabilityBin, ...] = ()


def with_probability_facts(rows: DataFrame, labels: Sequence[str]) -> DataFrame:
    """Adds what `probability_scores` needs to know of each row, so that the array itself need not be kept.

    Reads `truth` (string) and `probability` (array in the order of `labels`), both nullable. Adds

    - `width`: the array's length
    - `usable`: there is a truth, and the array has one number for each label
    - `truth_place`: the truth's place among labels, -1 for a name that is not among them, which has probability 0
    - `truth_probability`, `confidence` (the highest probability), `top` (the first place that has it), `squares` (Σp²)
    - `ahead`: the places ranked before the truth's; of equal ones the later comes first (`top_k_accuracy_score`'s rule)
    """
    numbers = F.col("probability").cast("array<double>")
    usable = F.col("truth").isNotNull() & (F.col("width") == len(labels)) & ~has_missing(numbers)
    place, likely = F.col("truth_place"), F.col("truth_probability")

    def before_truth(p: Column, index: Column) -> Column:
        return (p > likely) | ((p == likely) & (index > place))

    return (
        rows.withColumn("width", F.array_size("probability"))
        .withColumn("usable", F.coalesce(usable, F.lit(False)))
        .withColumn("truth_place", F.array_position(F.array(*map(F.lit, labels)), F.col("truth")).cast("int") - 1)
        .withColumn("truth_probability", F.coalesce(F.get(numbers, place), F.lit(0.0)))
        .withColumn("confidence", F.array_max(numbers))
        .withColumn("top", F.array_position(numbers, F.col("confidence")).cast("int") - 1)
        .withColumn("squares", F.aggregate(numbers, F.lit(0.0), lambda total, p: total + p * p))
        .withColumn("ahead", F.size(F.filter(numbers, before_truth)))
    )


def probability_scores(rows: DataFrame, *, classes: int, bins: int) -> ProbabilityScores:
    """Aggregates the columns of `with_probability_facts` in one pass, by bin of confidence.

    - log loss: the mean of -ln p(truth), p clipped to [2.2e-16, 1 - 2.2e-16] (Bishop 2006, p. 209; `log_loss`).
    - Brier score: the mean of Σ (p - truth)² over classes, halved for two classes (Brier 1950; `brier_score_loss`).
    - top-k accuracy, k = 5, for more than 5 classes: the truth is among the k most probable (`top_k_accuracy_score`).
    - expected calibration error: Σ over bins of share × |accuracy - confidence|, equal bins of the highest probability,
      open below and closed above (Guo et al. 2017, https://arxiv.org/abs/1706.04599, equations 2 and 3).

    A truth that is not among the labels has probability 0 in all of them.

    Raises InputError for numbers that are no probabilities.
    """
    usable = rows.filter("usable")
    known_and_ahead = (F.col("truth_place") >= 0) & (F.col("ahead") < TOP_K)
    found = (
        usable.groupBy(_bin("confidence", bins))
        .agg(
            F.count("*").alias("rows"),
            F.sum("confidence").alias("confidence"),
            F.count_if(F.col("truth_place") == F.col("top")).alias("hits"),
            F.sum(_loss(F.col("truth_probability"))).alias("log_loss"),
            F.sum(F.col("squares") - 2 * F.col("truth_probability") + 1).alias("brier"),
            F.count_if(known_and_ahead).alias("in_top_k"),
            F.max("confidence").alias("highest"),
            F.min("truth_probability").alias("lowest"),
        )
        .orderBy("bin")
        .collect()
    )
    if not found:
        return ProbabilityScores()
    total = sum(row.rows for row in found)
    return replace(
        _of_bins(found, bins),
        brier=sum(row.brier for row in found) / total / (2 if classes == 2 else 1),
        top_k_accuracy=sum(row.in_top_k for row in found) / total if classes > TOP_K else None,
    )


def label_scores(rows: DataFrame, labels: Sequence[str], *, bins: int) -> ProbabilityScores:
    """Log loss and calibration of independent labels, aggregated in one pass, by bin of probability.

    Reads `usable`, `truth` (array of names) and `probability` (array in the order of `labels`). Each pair of a usable
    row and a label counts once, whichever the label (a micro mean); with p its probability, and 1 - p that it does not
    hold:

    - log loss: the mean of -ln p of the labels that hold and -ln(1 - p) of the others, clipped as above (Bishop 2006,
      p. 206; `log_loss` of all pairs as one column). It is what `calibration.fit_temperature` makes least.
    - expected calibration error: Σ over bins of share × |share of labels that hold - mean p|, equal bins of p from 0 to
      1, open below and closed above: Guo's, of each label's own probability instead of a row's highest.

    A truth that is not among the labels has no probability, and is no pair.

    Raises InputError for numbers that are no probabilities.
    """
    found = (
        label_pairs(rows.filter("usable"), labels)
        .groupBy(_bin("p", bins))
        .agg(
            F.count("*").alias("rows"),
            F.sum("p").alias("confidence"),
            F.count_if("holds").alias("hits"),
            F.sum(F.when(F.col("holds"), _loss(F.col("p"))).otherwise(_loss(1 - F.col("p")))).alias("log_loss"),
            F.max("p").alias("highest"),
            F.min("p").alias("lowest"),
        )
        .orderBy("bin")
        .collect()
    )
    return _of_bins(found, bins) if found else ProbabilityScores()


def _of_bins(found: Sequence[Row], bins: int) -> ProbabilityScores:
    """What both kinds of labels have, from the sums of each bin; raises InputError for what is no probability."""
    _check_range(min(row.lowest for row in found), max(row.highest for row in found))
    total = sum(row.rows for row in found)
    return ProbabilityScores(
        log_loss=sum(row.log_loss for row in found) / total,
        calibration_error=sum(abs(row.hits - row.confidence) for row in found) / total,
        reliability=_reliability(found, bins),
    )


def label_pairs(rows: DataFrame, labels: Sequence[str]) -> DataFrame:
    """Each pair of a row and a label: its probability, `p`, and whether it `holds`: is among the row's `truth`."""
    name = F.get(F.array(*map(F.lit, labels)), F.col("place"))
    each = rows.select("truth", F.posexplode("probability").alias("place", "p"))
    return each.select(F.col("p").cast("double").alias("p"), F.array_contains("truth", name).alias("holds"))


def count_usable(rows: DataFrame, labels: Sequence[str]) -> tuple[int, int]:
    """Rows that are `usable`, and the others, which nothing can be learnt from.

    Reads `usable`, `width`, `lowest` and `confidence`: the array's length, least and greatest number. Raises InputError
    where no row is usable, for another length than that of `labels`, and for numbers that are no probabilities.
    """
    usable = F.col("usable")
    found = rows.agg(
        F.count("*").alias("rows"),
        F.count_if(usable).alias("usable"),
        F.min("width").alias("narrowest"),
        F.max("width").alias("widest"),
        F.min(F.when(usable, F.col("lowest"))).alias("lowest"),
        F.max(F.when(usable, F.col("confidence"))).alias("highest"),
    ).collect()[0]
    check_width([width for width in (found.narrowest, found.widest) if width is not None], labels)
    if not found.usable:
        raise InputError(
            f"None of {found.rows:,} rows has a truth, a probability without null or NaN, and no error: there is "
            "nothing to learn from. Check the label column against labels=…"
        )
    _check_range(found.lowest, found.highest)
    return found.usable, found.rows - found.usable


def _bin(number: str, bins: int) -> Column:
    """Which of so many equal bins from 0 to 1 a number lies in, counted from 1."""
    return F.greatest(F.lit(1), F.least(F.lit(bins), F.ceil(F.col(number) * bins))).alias("bin")


def _loss(p: Column) -> Column:
    """-ln p, where p is the probability of what came true."""
    return -F.log(F.greatest(F.least(p, F.lit(1 - SMALLEST_PROBABILITY)), F.lit(SMALLEST_PROBABILITY)))


def _reliability(found: Sequence[Row], bins: int) -> tuple[ReliabilityBin, ...]:
    return tuple(
        ReliabilityBin((row.bin - 1) / bins, row.bin / bins, row.rows, row.confidence / row.rows, row.hits / row.rows)
        for row in found
    )


def _check_range(lowest: float, highest: float) -> None:
    """Raises InputError for numbers that are no probabilities, not even in half precision."""
    if lowest < -ROUNDING or highest > 1 + ROUNDING:
        wrong = lowest if lowest < -ROUNDING else highest
        raise InputError(
            f"The probability column holds {wrong:g}, which is no probability. "
            "Turn scores into probabilities first (softmax or sigmoid)."
        )
