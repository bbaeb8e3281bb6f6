"""A classification report as a matplotlib figure; no pyplot, so that no backend or global state is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from brightspark.core.reliability_plot import draw_reliability, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from brightspark.core.classification_report import ClassificationReport

DRAWN_CLASSES = 20  # of the confusion matrix: more are not legible
DRAWN_CURVES = 8


def draw(report: ClassificationReport) -> Figure:
    """Draws four panels: confusion, ROC, precision and recall, reliability. An empty one says what it lacks."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    for axes, panel in zip(figure.subplots(2, 2).flat, PANELS.values(), strict=True):
        panel(axes, report)
    return figure


def draw_panel(report: ClassificationReport, name: str) -> Figure:
    """Draws one of the PANELS alone, in the size that matplotlib's settings say."""
    figure = Figure()
    PANELS[name](figure.subplots(), report)
    return figure


def _largest(report: ClassificationReport, names: list[str], limit: int) -> list[str]:
    """The names with most rows, in the order given."""
    kept = set(sorted(names, key=lambda name: -report.per_class[name].support)[:limit])
    return [name for name in names if name in kept]


def _draw_confusion(axes: Axes, report: ClassificationReport) -> None:
    names = _largest(report, list(report.confusion.names), DRAWN_CLASSES)
    cells = report.confusion.cells
    counts = np.array([[cells.get((truth, guess), 0) for guess in names] for truth in names], dtype=float)
    if not counts.sum():
        say(axes, "confusion", "no rows")
        return
    left_out = len(report.confusion.names) - len(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)  # it would lie upon the cells
    axes.set_title("confusion" + (f" (without {left_out:,} smaller classes)" if left_out else ""))
    axes.set_xticks(range(len(names)), names, rotation=0 if len(names) < 4 else 90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="prediction", ylabel="label")
    if len(names) <= DRAWN_CLASSES // 2:
        for (row, column), count in np.ndenumerate(counts):
            shade = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:,.0f}", ha="center", va="center", color=shade)


def _curves(report: ClassificationReport) -> list[str]:
    """The labels to draw; of two classes the last, which is the positive one."""
    names = list(report.curves)
    return names[-1:] if len(report.labels) == 2 else _largest(report, names, DRAWN_CURVES)


def _draw_roc(axes: Axes, report: ClassificationReport) -> None:
    names = [name for name in _curves(report) if report.curves[name].negatives]
    if not names:
        say(axes, "ROC", report.notes.get("auroc", "undefined"))
        return
    for name in names:
        curve = report.curves[name]
        axes.plot([0, *curve.false_positive_rate], [0, *curve.recall], label=f"{name}: {curve.auroc:.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    axes.set(title="ROC (area)", xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(loc="lower right", fontsize="small")


def _draw_precision_recall(axes: Axes, report: ClassificationReport) -> None:
    names = _curves(report)
    if not names:
        say(axes, "precision and recall", report.notes.get("average_precision", "undefined"))
        return
    for name in names:
        curve = report.curves[name]
        axes.step(curve.recall, curve.precision, where="pre", label=f"{name}: {curve.average_precision:.3f}")
    axes.set(title="precision and recall (average precision)", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    axes.legend(loc="lower left", fontsize="small")


PANELS: dict[str, Callable[[Axes, ClassificationReport], None]] = {
    "confusion": _draw_confusion,
    "roc": _draw_roc,
    "precision and recall": _draw_precision_recall,
    "reliability": draw_reliability,
}
"""What `draw` shows, in its order."""
