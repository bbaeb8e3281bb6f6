"""What `brightspark.core.metrics` answers with: reports that print, plot and turn into JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from brightspark.core.confusion import COVERAGE, Confusion, Interval
from brightspark.core.probability_scores import TOP_K, ReliabilityBin
from brightspark.core.ranking_curves import RankingCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUMMARY = {  # the one-number metrics, in the order they are shown
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "top_k_accuracy": f"top-{TOP_K} accuracy",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
PRINTED_CLASSES = 30


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows: `rows` = `answered` + `abstained` + `failed`, `answered` = `measured` + `unlabelled`."""

    rows: int
    answered: int
    """rows with a prediction and no error"""
    abstained: int
    """rows with a probability and no error, but without a prediction: the model was not sure enough to answer"""
    failed: int
    """other rows without a prediction, and those with an error"""
    unlabelled: int
    """answered rows without a truth"""
    measured: int
    """answered rows with a truth: what every number is over"""

    @property
    def coverage(self) -> float | None:
        """The share that is answered of the rows that did not fail; None where all did."""
        tried = self.answered + self.abstained
        return self.answered / tried if tried else None

    def __str__(self) -> str:
        line = (
            f"{self.measured:,} rows measured, of {self.rows:,}: "
            f"{self.failed:,} failed, {self.unlabelled:,} answered without a truth"
        )
        return f"{line}, {self.abstained:,} abstained (coverage {self.coverage:.1%})" if self.abstained else line


@dataclass(frozen=True)
class ClassScores:
    """One class against the rest; None where the number is 0/0."""

    support: int
    """rows whose truth it is"""
    precision: float | None
    """hits / rows predicted as it"""
    recall: float | None
    """hits / support"""
    f1: float | None
    """2 hits / (support + rows predicted as it)"""
    auroc: float | None
    average_precision: float | None

    @classmethod
    def of(cls, hits: int, truths: int, guesses: int, curve: RankingCurve | None) -> ClassScores:
        """The scores of a class that was the truth and the guess of so many rows."""
        return cls(
            support=truths,
            precision=hits / guesses if guesses else None,
            recall=hits / truths if truths else None,
            f1=2 * hits / (truths + guesses) if truths + guesses else None,
            auroc=curve.auroc if curve else None,
            average_precision=curve.average_precision if curve else None,
        )


@dataclass(frozen=True)
class ClassificationReport:
    """Numbers, intervals and curves of one classifier's answers; None where one is undefined, and `notes` say why."""

    labels: tuple[str, ...]
    """the classes that the model knows, in the order of its probability"""
    counts: RowCounts
    confusion: Confusion
    accuracy: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    weighted_f1: float | None
    top_k_accuracy: float | None
    auroc: float | None
    """two classes: the last label's; more: the mean over the classes where it is defined"""
    average_precision: float | None
    """as `auroc`"""
    log_loss: float | None
    brier: float | None
    calibration_error: float | None
    per_class: Mapping[str, ClassScores]
    """of each label, then of each other name that occurs as a truth or prediction"""
    reliability: tuple[ReliabilityBin, ...]
    """the bins that hold rows"""
    curves: Mapping[str, RankingCurve]
    """of each label that has rows"""
    intervals: Mapping[str, Interval]
    """95 % bootstrap intervals of the numbers that follow from the confusion matrix"""
    notes: Mapping[str, str]
    """what a reader must know, by the metric's name: why it is None, or what it leaves out"""

    def __str__(self) -> str:
        return report_text(self, SUMMARY, class_table(self.per_class, title="class"))

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists, strings and numbers that JSON knows: None for undefined, never NaN."""
        return {
            **{name: getattr(self, name) for name in SUMMARY},
            "labels": list(self.labels),
            "counts": asdict(self.counts),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "per_class": {name: asdict(scores) for name, scores in self.per_class.items()},
            "confusion": [
                {"label": truth, "prediction": guess, "rows": rows}
                for (truth, guess), rows in sorted(self.confusion.cells.items())
            ],
            "reliability": [asdict(step) for step in self.reliability],
            "curves": {name: curve.to_dict() for name, curve in self.curves.items()},
            "notes": dict(self.notes),
        }

    def plot(self) -> Figure:
        """Confusion, ROC, precision-recall and reliability as one figure of its own; pyplot's state is not touched."""
        from brightspark.core.classification_plot import draw

        return draw(self)


@dataclass(frozen=True)
class Comparison:
    """Two predictions of the same rows. Differences are a minus b, with paired 95 % bootstrap intervals."""

    rows: int
    measured: int
    """rows with a truth and both predictions"""
    accuracy_a: float | None
    accuracy_b: float | None
    macro_f1_a: float | None
    macro_f1_b: float | None
    intervals: Mapping[str, Interval]
    """of "accuracy" and "macro_f1": a minus b"""

    @property
    def accuracy_difference(self) -> float | None:
        """Accuracy of a minus that of b."""
        return _difference(self.accuracy_a, self.accuracy_b)

    @property
    def macro_f1_difference(self) -> float | None:
        """Macro F1 of a minus that of b."""
        return _difference(self.macro_f1_a, self.macro_f1_b)

    def __str__(self) -> str:
        lines = [f"{self.measured:,} rows measured, of {self.rows:,}", "", f"{'':<10} {'a':>8} {'b':>8} {'a - b':>8}"]
        for name, title in (("accuracy", "accuracy"), ("macro_f1", "macro F1")):
            values = (getattr(self, f"{name}{end}") for end in ("_a", "_b", "_difference"))
            line = f"{title:<10} " + " ".join(f"{_number(value):>8}" for value in values)
            if name in self.intervals:
                low, high = self.intervals[name]
                line += f"   {COVERAGE:.0%} interval {low:+.4f} to {high:+.4f}"
            lines.append(line)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists, strings and numbers that JSON knows: None for undefined, never NaN."""
        return {
            **asdict(self),
            "accuracy_difference": self.accuracy_difference,
            "macro_f1_difference": self.macro_f1_difference,
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
        }


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def report_text(report: Any, summary: Mapping[str, str], table: Sequence[str]) -> str:
    """A report with `counts`, `intervals` and `notes` as text: its numbers, a table of its classes, what to know."""
    numbers = _summary_lines(summary, vars(report), report.intervals, report.notes)
    notes = [f"{name}: {note}" for name, note in report.notes.items()]
    return "\n".join([str(report.counts), "", *numbers, "", *table, *([""] if notes else []), *notes])


def _summary_lines(
    titles: Mapping[str, str],
    numbers: Mapping[str, float | None],
    intervals: Mapping[str, Interval],
    notes: Mapping[str, str],
) -> list[str]:
    """The numbers in `titles` that are defined or have a note, each with its interval."""
    width = max(18, *map(len, titles.values()))
    lines = []
    for name, title in titles.items():
        if numbers[name] is not None or name in notes:
            line = f"{title:<{width}} {_number(numbers[name])}"
            if name in intervals:
                low, high = intervals[name]
                line += f"   {COVERAGE:.0%} interval {low:.4f} to {high:.4f}"
            lines.append(line)
    return lines


def class_table(per_class: Mapping[str, ClassScores], *, title: str) -> list[str]:
    """The classes with most rows as lines of a table, in the report's order."""
    largest = sorted(per_class, key=lambda name: -per_class[name].support)[:PRINTED_CLASSES]
    width = max([len(name) for name in largest] + [len(title)])
    columns = ("precision", "recall", "f1", "auroc", "average_precision")
    lines = [f"{title:<{width}} {'rows':>9} {'precision':>9} {'recall':>9} {'F1':>9} {'AUROC':>9} {'av. prec.':>9}"]
    for name, scores in per_class.items():
        if name in largest:
            cells = " ".join(f"{_number(getattr(scores, column)):>9}" for column in columns)
            lines.append(f"{name:<{width}} {scores.support:>9,} {cells}")
    left_out = len(per_class) - len(largest)
    return [*lines, f"and {left_out:,} more with fewer rows"] if left_out else lines
