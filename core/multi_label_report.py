"""What `brightspark.core.multi_label` answers with: a report that prints and turns into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from brightspark.core.classification_report import ClassScores, RowCounts, class_table, report_text
from brightspark.core.confusion import Interval
from brightspark.core.probability_scores import ReliabilityBin
from brightspark.core.ranking_curves import RankingCurve

SUMMARY = {  # the one-number metrics, in the order they are shown
    "mean_average_precision": "mean average precision",
    "auroc": "AUROC",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "exact_match": "exact match",
    "hamming_loss": "Hamming loss",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}


@dataclass(frozen=True)
class MultiLabelReport:
    """Numbers, intervals and curves of answers of any number of labels each; None where one is undefined.

    `notes` say why it is.
    """

    labels: tuple[str, ...]
    """the labels that the model knows, in the order of its probability"""
    counts: RowCounts
    mean_average_precision: float | None
    """the mean over the labels that have a positive row"""
    auroc: float | None
    """the mean over the labels that have a positive and a negative row"""
    macro_f1: float | None
    """the mean over the labels that occur as a truth or in an answer"""
    micro_f1: float | None
    """of all pairs of row and label together"""
    exact_match: float | None
    """share of rows whose answer is exactly the truth"""
    hamming_loss: float | None
    """share of wrong ones among all pairs of row and label"""
    log_loss: float | None
    """the mean over all pairs of row and label"""
    calibration_error: float | None
    """over all pairs of row and label: how far probabilities are from the share of labels that hold"""
    per_label: Mapping[str, ClassScores]
    """of each label, then of each other name that occurs in a truth or an answer"""
    reliability: tuple[ReliabilityBin, ...]
    """the bins of probability that hold pairs of row and label"""
    curves: Mapping[str, RankingCurve]
    """of each label that has positive rows"""
    intervals: Mapping[str, Interval]
    """95 % bootstrap intervals of micro F1, exact match and Hamming loss; the others would need the rows again"""
    notes: Mapping[str, str]
    """what a reader must know, by the metric's name: why it is None, or what it leaves out"""

    def __str__(self) -> str:
        return report_text(self, SUMMARY, class_table(self.per_label, title="label"))

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists, strings and numbers that JSON knows: None for undefined, never NaN."""
        return {
            **{name: getattr(self, name) for name in SUMMARY},
            "labels": list(self.labels),
            "counts": asdict(self.counts),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "per_label": {name: asdict(scores) for name, scores in self.per_label.items()},
            "reliability": [asdict(step) for step in self.reliability],
            "curves": {name: curve.to_dict() for name, curve in self.curves.items()},
            "notes": dict(self.notes),
        }
