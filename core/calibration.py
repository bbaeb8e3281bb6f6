"""Calibration after training: the one temperature that makes probabilities mean what they say, found inside Spark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from brightspark.core.errors import InputError, SettingError
from brightspark.core.probability_scores import SMALLEST_PROBABILITY, count_usable
from brightspark.core.scored_rows import (
    column,
    has_missing,
    known_labels,
    number_array,
    text_array,
    text_column,
)

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
TOLERANCE = 1e-7  # of the temperature, relative: a smaller step is not made
MOST_STEPS = 60  # halving the bracket's logarithm reaches the tolerance in 27, and every second step halves it


@dataclass(frozen=True)
class Temperature:
    """The temperature of the least log loss, and what it does to the rows it was found on."""

    temperature: float
    """above 1 where the model was too sure of itself"""
    rows: int
    """rows it was found on"""
    left_out: int
    """rows that failed, have no truth that is a label, or hold a null or NaN among their probabilities"""
    log_loss_before: float
    """natural logarithm, a mean over rows; for independent labels over rows and labels"""
    log_loss_after: float
    note: str = ""
    """why the temperature is one of the bounds; empty where it is not"""

    def __str__(self) -> str:
        line = (
            f"temperature {self.temperature:.4f}: log loss {self.log_loss_before:.4f} before, "
            f"{self.log_loss_after:.4f} after, over {self.rows:,} rows ({self.left_out:,} left out)"
        )
        return f"{line}\n{self.note}" if self.note else line


def fit_temperature(
    scored: DataFrame,
    *,
    label: str = "label",
    probability: str = "probability",
    error: str = "error",
    labels: Sequence[str] | None = None,
) -> Temperature:
    """Finds the temperature T that minimises the log loss of a scored table (Guo et al. 2017, arXiv:1706.04599).

    Reads `label`, `probability` (array<float|double> in the order of `labels`) and, where it is there, `error`. The
    label's type says what the probabilities are:

    - string: a softmax's. Rescaled they are softmax(ln p / T), since ln p are the logits up to a constant.
    - array<string>: independent sigmoids'. Rescaled they are sigmoid(logit(p) / T), one T for all labels.

    Probabilities are clamped to 2.2e-16 from below, sigmoids' also to 1 - 2.2e-16. Use rows that the model was not
    trained on, and others again to judge what T does. A prediction is not read: its label stays the most probable one,
    and rows where the model abstained count too.

    Log loss is convex in 1/T: Newton's method finds the one minimum between 0.05 and 20, kept inside a bracket, to 1e-7
    of T. Each step is an aggregation over the persisted logits, about 6 in all and never more than 61; no row
    is collected. Where the loss still falls at a bound, as when every row is right, T is that bound and `note` says so;
    where it is the same at every temperature, T is 1.

    - labels: every class, in the order of `probability`; by default those in the column's metadata.

    Raises InputError where no row can be used, and for columns that are missing or unusable.

    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.getOrCreate()
    >>> rows = [("cat", [0.99, 0.01]), ("cat", [0.99, 0.01]), ("dog", [0.99, 0.01]), ("dog", [0.01, 0.99])]
    >>> scored = spark.createDataFrame(rows, "label string, probability array<double>")
    >>> found = fit_temperature(scored, labels=["cat", "dog"])
    >>> round(found.temperature, 2), found.log_loss_after < found.log_loss_before
    (4.18, True)
    """
    known = known_labels(scored, labels, (probability,))
    if not known:
        raise InputError("The order of the labels is not known: pass labels=… in the order of the probability.")
    numbers = number_array(scored, probability).cast("array<double>")
    independent = isinstance(scored.schema[label].dataType, ArrayType) if label in scored.columns else False
    margins = _sigmoid_margins if independent else _softmax_gaps
    truth = text_array(scored, label) if independent else text_column(scored, label)
    answered = column(error).isNull() if error in scored.columns else F.lit(True)
    usable = answered & truth.isNotNull() & (F.array_size(numbers) == len(known)) & ~has_missing(numbers)
    rows = scored.select(
        F.when(answered, F.array_size(numbers)).alias("width"),
        F.array_min(numbers).alias("lowest"),
        F.array_max(numbers).alias("confidence"),
        F.when(usable, margins(numbers, truth, known)).alias("margins"),
    )
    rows = rows.withColumn("usable", F.col("margins").isNotNull()).persist()
    try:
        used, left_out = count_usable(rows, known)
        losses = _sigmoid_losses if independent else _softmax_losses
        held = rows.filter("usable").select("margins")
        found, before, after = least_loss(lambda sharpness: _measure(losses(held, sharpness)))
    finally:
        rows.unpersist()
    return Temperature(1 / found, used, left_out, before.loss, after.loss, _note(found))


def rescaled(probability: str | Column, temperature: float, *, independent: bool = False) -> Column:
    """The probabilities at another temperature, array<double>: softmax(ln p / T), or sigmoid(logit(p) / T).

    `independent` is for multi-label probabilities, one sigmoid each. Clamped as in `fit_temperature`. A null array
    stays null, and one that holds a null or NaN has no numbers that mean anything. A new column has no metadata: pass
    `labels` to what measures it.

    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.getOrCreate()
    >>> scored = spark.createDataFrame([([0.9, 0.1],)], "probability array<double>")
    >>> [round(p, 2) for p in scored.select(rescaled("probability", 2.0)).first()[0]]
    [0.75, 0.25]
    """
    if not 0 < temperature < math.inf:
        raise SettingError(f"temperature={temperature}: want a number above 0; 1 changes nothing.")
    numbers = (column(probability) if isinstance(probability, str) else probability).cast("array<double>")
    if independent:
        return F.transform(numbers, lambda p: 1 / (1 + F.exp(-_logit(p) / temperature)))
    logits = F.transform(numbers, lambda p: _log(p) / temperature)
    weights = _with(logits, F.array_max, lambda logit, top: F.exp(logit - top))
    return _with(weights, _sum, lambda weight, whole: weight / whole)


class Loss(NamedTuple):
    """Mean log loss at one 1/T, and its first and second derivative by 1/T."""

    loss: float
    slope: float
    curvature: float


def least_loss(measure: Callable[[float], Loss]) -> tuple[float, Loss, Loss]:
    """Finds the 1/T of the least loss; also the loss at T = 1 and there. `measure` is asked once a step.

    A step is Newton's while that makes the slope fall fast. Where it does not, the next is the bound, which tells
    whether there is a minimum before it, and after that the middle of the bracket.
    """
    low, high = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    here, last_slope, measured = 1.0, math.inf, {1.0}
    now = before = measure(here)
    for _ in range(MOST_STEPS):
        low, high = (here, high) if now.slope <= 0 else (low, here)
        edge = high if now.slope <= 0 else low
        if abs(now.slope) <= last_slope / 4 and now.curvature > 0:
            step, last_slope = here - now.slope / now.curvature, abs(now.slope)
        else:
            step, last_slope = edge if edge not in measured else math.sqrt(low * high), math.inf
        step = min(max(step, low), high)
        if now.slope == 0 or abs(step - here) <= TOLERANCE * here:
            break
        here, now = step, measure(step)
        measured.add(here)
    return here, before, now


def _log(p: Column) -> Column:
    return F.log(F.greatest(p, F.lit(SMALLEST_PROBABILITY)))


def _logit(p: Column) -> Column:
    inside = F.least(F.greatest(p, F.lit(SMALLEST_PROBABILITY)), F.lit(1 - SMALLEST_PROBABILITY))
    return F.log(inside) - F.log(1 - inside)


def _sum(numbers: Column) -> Column:
    return F.aggregate(numbers, F.lit(0.0), lambda total, number: total + number)


def _with(numbers: Column, fact: Callable[[Column], Column], change: Callable[[Column, Column], Column]) -> Column:
    """Changes each number by a fact of them all, which a plain lambda would work out again for each number."""
    pair = F.array(F.struct(numbers.alias("numbers"), fact(numbers).alias("fact")))
    changed = F.transform(pair, lambda it: F.transform(it["numbers"], lambda number: change(number, it["fact"])))
    return F.get(changed, 0)


def _softmax_gaps(numbers: Column, truth: Column, labels: Sequence[str]) -> Column:
    """How far each logit lies above the truth's; null where the truth is not among the labels."""
    place = F.array_position(F.array(*map(F.lit, labels)), truth).cast("int")
    logits = F.transform(numbers, _log)
    return F.when(place > 0, _with(logits, lambda all_: F.get(all_, place - 1), lambda logit, truths: logit - truths))


def _sigmoid_margins(numbers: Column, truth: Column, labels: Sequence[str]) -> Column:
    """Each label's logit, its sign changed where the label is not among the truth's."""
    names = F.array_compact(truth)
    return F.zip_with(
        numbers,
        F.array(*map(F.lit, labels)),
        lambda p, name: F.when(F.array_contains(names, name), _logit(p)).otherwise(-_logit(p)),
    )


def _softmax_losses(rows: DataFrame, sharpness: float) -> DataFrame:
    """ln Σ exp(gap / T) of each row, and its derivatives: the gaps' mean and variance under the softmax."""
    margins = F.col("margins")
    mean = F.col("first") / F.col("whole")
    return (
        rows.withColumn("top", F.array_max(margins))
        .withColumn("weights", F.transform(margins, lambda gap: F.exp(sharpness * (gap - F.col("top")))))
        .withColumn("pulls", F.zip_with("weights", margins, lambda weight, gap: weight * gap))
        .withColumn("whole", _sum(F.col("weights")))
        .withColumn("first", _sum(F.col("pulls")))
        .withColumn("second", _sum(F.zip_with("pulls", margins, lambda pull, gap: pull * gap)))
        .select(
            (sharpness * F.col("top") + F.log("whole")).alias("loss"),
            mean.alias("slope"),
            (F.col("second") / F.col("whole") - mean * mean).alias("curvature"),
        )
    )


def _sigmoid_losses(rows: DataFrame, sharpness: float) -> DataFrame:
    """The mean over labels of -ln sigmoid(margin / T) of each row, and its derivatives."""
    margins = F.col("margins")
    classes = F.size(margins)

    def loss(margin: Column) -> Column:
        x = sharpness * margin
        return F.greatest(-x, F.lit(0.0)) + F.log1p(F.exp(-F.abs(x)))

    return (
        rows.withColumn("wrong", F.transform(margins, lambda margin: 1 / (1 + F.exp(sharpness * margin))))
        .withColumn("pulls", F.zip_with("wrong", margins, lambda wrong, margin: -wrong * margin))
        .withColumn("bends", F.zip_with("wrong", margins, lambda w, margin: w * (1 - w) * margin * margin))
        .select(
            (_sum(F.transform(margins, loss)) / classes).alias("loss"),
            (_sum(F.col("pulls")) / classes).alias("slope"),
            (_sum(F.col("bends")) / classes).alias("curvature"),
        )
    )


def _measure(losses: DataFrame) -> Loss:
    row = losses.agg(*(F.avg(name).alias(name) for name in Loss._fields)).collect()[0]
    return Loss(row.loss, row.slope, row.curvature)


def _note(found: float) -> str:
    if found == 1 / LOWEST_TEMPERATURE:
        return f"The log loss still falls at the lowest temperature, {LOWEST_TEMPERATURE:g}: (almost) no row is wrong."
    if found == 1 / HIGHEST_TEMPERATURE:
        return (
            f"The log loss still falls at the highest temperature, {HIGHEST_TEMPERATURE:g}: the probabilities tell no "
            "more than chance. Check the order of the labels."
        )
    return ""
