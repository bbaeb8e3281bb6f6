"""A classification report as blocks of the HTML report: its classes in a table, its panels one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core import report as page

if TYPE_CHECKING:
    from brightspark.core.classification_report import ClassificationReport
    from brightspark.core.reliability_plot import Reliable

_PANELS = {  # name in `classification_plot.PANELS` → what it shows, and how to read it
    "confusion": ("Confusion matrix", "How often each label (a row) got each prediction (a column)."),
    "roc": (
        "ROC curve",
        "The share of the positives that is found, for each share of false alarms; the dashed line is guessing.",
    ),
    "reliability": (
        "Reliability curve",
        "How often answers of a given confidence are right. On the dashed line, confidence is what it says; the "
        "calibration error is the mean distance from it.",
    ),
}


def classification_blocks(report: ClassificationReport) -> list[page.Table | page.Plot]:
    """The table of classes, the confusion matrix, the ROC curve and the reliability curve."""
    return [_class_table(report), *(_plot(report, name) for name in _PANELS)]


def reliability_blocks(before: ClassificationReport, after: ClassificationReport) -> list[page.Plot]:
    """One plot of both reports' reliability, such as before and after temperature scaling, and both errors below it."""
    from brightspark.core.reliability_plot import draw_reliabilities

    caption = (
        "How often answers of a given confidence are right. On the dashed line, confidence is what it says. The mean "
        f"distance from it, the calibration error, was {error_shown(before)} before and is {error_shown(after)} after."
    )
    with page.plot_style():
        figure = draw_reliabilities({"before": before, "after": after})
        return [page.Plot(figure, alt="Reliability curves before and after", caption=caption)]


def accuracy_interval(report: ClassificationReport) -> str:
    """The 95 % interval of the accuracy, in percent."""
    low, high = report.intervals["accuracy"]
    return f"{100 * low:.1f} to {100 * high:.1f}"


def error_shown(report: Reliable) -> str:
    """The calibration error as text."""
    return "unknown" if report.calibration_error is None else f"{report.calibration_error:.3f}"


def _class_table(report: ClassificationReport) -> page.Table:
    rows = [
        (name, scores.support, scores.precision, scores.recall, scores.f1, scores.auroc)
        for name, scores in report.per_class.items()
    ]
    columns = ("label", "rows", "precision", "recall", "F1", "AUROC")
    counts = report.counts
    caption = f"Each label against the rest, over {counts.measured:,} rows."
    if counts.abstained:
        caption += f" The model abstained on {counts.abstained:,} other rows: its coverage is {counts.coverage:.1%}."
    return page.Table(columns, rows, caption=caption)


def _plot(report: ClassificationReport, name: str) -> page.Plot:
    from brightspark.core.classification_plot import draw_panel

    title, caption = _PANELS[name]
    with page.plot_style():
        return page.Plot(draw_panel(report, name), alt=title, caption=caption)
