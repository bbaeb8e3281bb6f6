"""The rows and labels of a multi-label table, counted in Spark, and the numbers that follow from counts alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brightspark.core.classification_report import RowCounts
from brightspark.core.confusion import Counts, Interval, percentile_intervals, resample
from brightspark.core.scored_rows import (
    bounded_collect,
    check_width,
    column,
    has_missing,
    number_array,
    text_array,
)


@dataclass(frozen=True)
class LabelCounts:
    """Measured rows of one label."""

    hits: int
    truths: int
    guesses: int
    usable: int
    """of the truths, those with a usable probability"""


@dataclass(frozen=True)
class MultiLabelCounts:
    """All that is counted of the rows."""

    rows: RowCounts
    usable: int
    """measured rows with a usable probability"""
    outcomes: Mapping[tuple[int, int], int]
    """measured rows of each (labels found, labels in the truth + labels in the answer): all that a row's score needs"""
    labels: Mapping[str, LabelCounts]
    """of each label in its order, then of every other name that occurs, sorted"""


def measurable_label_sets(
    scored: DataFrame, known: Sequence[str], *, label: str, prediction: str, probability: str | None, error: str
) -> DataFrame:
    """Cuts a scored table to what is measured of it.

    - `state`: failed, unlabelled or measured
    - `truth`, `guess`: without repeats; null where not measured, as is `probability`, which is there where named
    - `width`, `usable`: the probability's length; whether the row is measured and has one number for each label
    """
    truth, guess = text_array(scored, label), text_array(scored, prediction)
    unharmed = column(error).isNull() if error in scored.columns else F.lit(True)
    answered = unharmed & guess.isNotNull()
    state = F.when(~answered, "failed").when(truth.isNull(), "unlabelled").otherwise("measured")
    kept = {name: F.array_distinct(F.array_compact(names)) for name, names in (("truth", truth), ("guess", guess))}
    width, usable = F.lit(None).cast("int"), F.lit(False)
    if probability is not None:
        kept["probability"] = number_array(scored, probability)
        width = F.when(answered, F.array_size(kept["probability"]))
        usable = answered & truth.isNotNull() & (F.array_size(kept["probability"]) == len(known))
        usable = F.coalesce(usable & ~has_missing(kept["probability"]), F.lit(False))
    return scored.select(
        state.alias("state"),
        width.alias("width"),
        usable.alias("usable"),
        *(F.when(state == "measured", values).alias(name) for name, values in kept.items()),
    )


def count_label_sets(rows: DataFrame, known: Sequence[str]) -> MultiLabelCounts:
    """Counts the rows by outcome and the labels by name; raises InputError where a probability has a wrong length."""
    named = F.size("truth") + F.size("guess")
    outcome = F.size(F.array_intersect("truth", "guess")).alias("hits"), named.alias("named")
    found = rows.groupBy("state", *outcome).agg(
        F.count("*").alias("rows"),
        F.count_if("usable").alias("usable"),
        F.min("width").alias("narrowest"),
        F.max("width").alias("widest"),
    )
    states = bounded_collect(found)
    check_width([width for row in states for width in (row.narrowest, row.widest) if width is not None], known)
    total = Counter[str]()
    for row in states:
        total[row.state] += row.rows
    return MultiLabelCounts(
        rows=RowCounts(
            rows=total.total(),
            answered=total["measured"] + total["unlabelled"],
            abstained=0,
            failed=total["failed"],
            unlabelled=total["unlabelled"],
            measured=total["measured"],
        ),
        usable=sum(row.usable for row in states),
        outcomes={(row.hits, row.named): row.rows for row in states if row.state == "measured"},
        labels=_count_labels(rows, known),
    )


def _count_labels(rows: DataFrame, known: Sequence[str]) -> dict[str, LabelCounts]:
    each = rows.select("truth", "guess", "usable", F.explode(F.array_union("truth", "guess")).alias("name"))
    true, guessed = F.array_contains("truth", F.col("name")), F.array_contains("guess", F.col("name"))
    found = bounded_collect(
        each.groupBy("name").agg(
            F.count_if(true & guessed).alias("hits"),
            F.count_if(true).alias("truths"),
            F.count_if(guessed).alias("guesses"),
            F.count_if(true & F.col("usable")).alias("usable"),
        )
    )
    counted = {row.name: LabelCounts(row.hits, row.truths, row.guesses, row.usable) for row in found}
    others = sorted(set(counted) - set(known))
    return {name: counted.get(name, LabelCounts(0, 0, 0, 0)) for name in (*known, *others)}


def label_set_scores(
    counts: MultiLabelCounts, *, replicates: int, seed: int
) -> tuple[dict[str, float], dict[str, Interval]]:
    """Micro F1, exact match and Hamming loss of at least one measured row, and their bootstrap intervals.

    All three follow from the outcomes alone, so a multinomial draw of these counts is the bootstrap of the rows
    (`confusion.resample`). A number without a label to count is left out, as are replicates without one.
    """
    outcomes = sorted(counts.outcomes)
    hits, named = np.array(outcomes, dtype=np.int64).T
    rows = np.array([counts.outcomes[outcome] for outcome in outcomes], dtype=np.int64)
    labels = len(counts.labels)
    measured = _headline(hits, named, rows, labels)
    drawn = [_headline(hits, named, again, labels) for again in resample(rows, replicates=replicates, seed=seed)]
    return measured, percentile_intervals([numbers for numbers in drawn if numbers.keys() == measured.keys()])


def _headline(hits: Counts, named: Counts, rows: Counts, labels: int) -> dict[str, float]:
    total, all_named = int(rows.sum()), int((named * rows).sum())
    wrong = named - 2 * hits
    numbers = {"exact_match": float(rows[wrong == 0].sum() / total)}
    if labels:
        numbers["hamming_loss"] = float((wrong * rows).sum() / (total * labels))
    if all_named:
        numbers["micro_f1"] = float(2 * (hits * rows).sum() / all_named)
    return numbers
