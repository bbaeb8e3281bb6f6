"""Reliability as matplotlib draws it, of one label a row or of several; no pyplot, as in `classification_plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from brightspark.core.classification_report import ClassificationReport
    from brightspark.core.multi_label_report import MultiLabelReport

    Reliable: TypeAlias = ClassificationReport | MultiLabelReport

ONE_LABEL = ("confidence", "accuracy")
"""What the axes show of a `ClassificationReport`."""
SEVERAL_LABELS = ("probability", "share that holds")
"""What they show of a `MultiLabelReport`."""


def draw_reliability(axes: Axes, report: Reliable, shown: tuple[str, str] = ONE_LABEL) -> None:
    """Draws the reliability of a report as bars; where there is none, says why."""
    if not report.reliability:
        say(axes, "reliability", report.notes.get("calibration_error", "undefined"))
        return
    for step in report.reliability:
        axes.bar(step.low, step.accuracy, width=step.high - step.low, align="edge", color="#9ecae1", edgecolor="white")
    axes.plot(*_points(report), "o", color="C0")
    _frame(axes, f"reliability (calibration error {report.calibration_error:.3f})", shown)


def draw_reliabilities(reports: Mapping[str, Reliable], shown: tuple[str, str] = ONE_LABEL) -> Figure:
    """Draws the reliability of several reports as curves in one plot, each under its name."""
    figure = Figure()
    axes = figure.subplots()
    for name, report in reports.items():
        axes.plot(*_points(report), "o-", label=name)
    _frame(axes, "reliability", shown)
    axes.legend(loc="upper left", fontsize="small")
    return figure


def say(axes: Axes, title: str, words: str) -> None:
    """Words where there is nothing to draw."""
    axes.set_title(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", wrap=True)


def _points(report: Reliable) -> tuple[list[float], list[float]]:
    return [step.confidence for step in report.reliability], [step.accuracy for step in report.reliability]


def _frame(axes: Axes, title: str, shown: tuple[str, str]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    axes.set(title=title, xlabel=shown[0], ylabel=shown[1], xlim=(0, 1), ylim=(0, 1))
