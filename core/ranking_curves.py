"""Exact AUROC and average precision of every class, one against the rest, and their curves, thinned inside Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

# A curve's points fall into steps of its own length and steps of the logarithm of the rows above the threshold. Both
# only grow along the curve, so at most 140 + 60 - 1 pairs occur, and the last point of each pair is kept.
LENGTH_STEPS = 140
COUNT_STEPS = 60


@dataclass(frozen=True)
class RankingCurve:
    """How well one class's scores rank its rows before all others, and the counts at 199 thresholds at most."""

    positives: int
    negatives: int
    auroc: float | None
    """None without positives or without negatives"""
    average_precision: float | None
    """None without positives"""
    thresholds: tuple[float, ...]
    """scores at or above which a row counts as the class, falling"""
    true_positives: tuple[int, ...]
    false_positives: tuple[int, ...]

    @property
    def recall(self) -> list[float]:
        """True positives / positives at each threshold: ROC's upward axis."""
        return [hits / self.positives for hits in self.true_positives]

    @property
    def false_positive_rate(self) -> list[float]:
        """False positives / negatives at each threshold: ROC's axis to the right; empty without negatives."""
        return [wrong / self.negatives for wrong in self.false_positives] if self.negatives else []

    @property
    def precision(self) -> list[float]:
        """True positives / rows at or above each threshold."""
        pairs = zip(self.true_positives, self.false_positives, strict=True)
        return [hits / (hits + wrong) for hits, wrong in pairs]

    def to_dict(self) -> dict[str, list[float]]:
        """The points of ROC and of precision and recall, as lists of equal length."""
        return {
            "threshold": list(self.thresholds),
            "recall": self.recall,
            "false_positive_rate": self.false_positive_rate,
            "precision": self.precision,
        }


def ranking_curves(
    rows: DataFrame, is_positive: Column, positives: Mapping[int, int], total: int
) -> dict[int, RankingCurve]:
    """AUROC, average precision and curve of each class in `positives`: its place among the labels, and its rows.

    Reads `probability` of `total` rows, and what `is_positive` asks of a row and its `class`, a place among the labels.
    Rows are counted by (class, score), so that equal scores are one threshold, and added up from the highest down:

    - AUROC: the share of pairs (positive, negative) in which the positive has the higher score, a tie counting half:
      the Mann-Whitney U with mid-ranks over positives × negatives (Hanley and McNeil 1982,
      https://doi.org/10.1148/radiology.143.1.7063747; `sklearn.metrics.roc_auc_score`).
    - average precision: Σ over thresholds of the recall gained there × the precision there, not interpolated
      (`sklearn.metrics.average_precision_score`).

    Both use every score; only then are the points thinned, and what is collected is at most 199 rows a class. The
    running sums of a class are one task's work, sorted on disk where memory ends. Sums of counts are exact below 2^53.
    """
    counted = (
        rows.select("*", F.posexplode("probability").alias("class", "score"))
        .filter(F.col("class").isin(list(positives)))
        .groupBy("class", "score")
        .agg(F.count("*").alias("rows"), F.count_if(is_positive).alias("hits"))
    )
    points = _thinned(running_counts(counted), positives, total).collect()
    points.sort(key=lambda row: (row["class"], row.above))
    return {
        place: _curve(list(steps), positives[place], total - positives[place])
        for place, steps in groupby(points, key=lambda row: int(row["class"]))
    }


def running_counts(counted: DataFrame) -> DataFrame:
    """Adds up `rows` and `hits` of each (`class`, `score`) from the highest score down, as `above` and `true`."""
    from_the_top = Window.partitionBy("class").orderBy(F.desc("score")).rowsBetween(Window.unboundedPreceding, 0)
    return counted.withColumn("true", F.sum("hits").over(from_the_top)).withColumn(
        "above", F.sum("rows").over(from_the_top)
    )


def asked_classes(labels: Sequence[str]) -> Sequence[str]:
    """The classes whose areas a classifier's single number is the mean of: of two the last, the positive one."""
    return labels[-1:] if len(labels) == 2 else labels


def defined_areas(curves: Mapping[str, RankingCurve], labels: Sequence[str], name: str) -> dict[str, float]:
    """The `auroc` or `average_precision` of each of `labels` that has one."""
    areas = {label: getattr(curves[label], name) for label in labels if label in curves}
    return {label: area for label, area in areas.items() if area is not None}


def mean_area(curves: Mapping[str, RankingCurve], labels: Sequence[str], name: str) -> float | None:
    """The mean of the `defined_areas`; None without any."""
    areas = defined_areas(curves, labels, name).values()
    return sum(areas) / len(areas) if areas else None


def _thinned(running: DataFrame, positives: Mapping[int, int], total: int) -> DataFrame:
    """The last point of each step of each curve, with the step's share of both areas."""
    class_positives = F.get(F.array(*(F.lit(positives.get(i, 0)) for i in range(max(positives) + 1))), F.col("class"))
    true, above = F.col("true").cast("double"), F.col("above").cast("double")
    length = true / class_positives + (above - true) / F.greatest(F.lit(1), total - class_positives)
    wrong = F.col("rows") - F.col("hits")
    return (
        running.groupBy(
            "class",
            _step(length / 2, LENGTH_STEPS).alias("length_step"),
            _step(F.log(above) / F.log(F.lit(float(max(total, 2)))), COUNT_STEPS).alias("count_step"),
        )
        .agg(
            F.sum(wrong * (true - F.col("hits") / 2)).alias("pairs_won"),
            F.sum(F.col("hits") * true / above).alias("precision_gained"),
            F.max(F.struct("above", "true", "score")).alias("last"),
        )
        .select("class", "pairs_won", "precision_gained", "last.*")
    )


def _step(share: Column, steps: int) -> Column:
    return F.least(F.lit(steps - 1), F.floor(share * steps))


def _curve(points: Sequence[Row], positives: int, negatives: int) -> RankingCurve:
    pairs = positives * negatives
    return RankingCurve(
        positives=positives,
        negatives=negatives,
        auroc=sum(row.pairs_won for row in points) / pairs if pairs else None,
        average_precision=sum(row.precision_gained for row in points) / positives,
        thresholds=tuple(float(row.score) for row in points),
        true_positives=tuple(int(row.true) for row in points),
        false_positives=tuple(int(row.above - row.true) for row in points),
    )
