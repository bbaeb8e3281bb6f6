"""A multi-label report as blocks of the HTML report: its key figures, its labels in a table, its reliability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core import report as page
from brightspark.core.classification_blocks import error_shown

if TYPE_CHECKING:
    from brightspark.core.multi_label_report import MultiLabelReport

_FIGURES = {
    "mean_average_precision": "mean average precision over the labels",
    "micro_f1": "micro F1: all labels together",
    "exact_match": "share of rows with exactly the right labels",
}


_HOLDS = "How often a label of a given probability holds. On the dashed line, it is as often as the probability says"


def multi_label_blocks(report: MultiLabelReport) -> list[page.Figures | page.Table | page.Plot | page.Note]:
    """The key figures, the table of labels, the reliability curve and, where there are any, the notes."""
    notes = [f"{name}: {note}." for name, note in report.notes.items()]
    return [
        page.Figures([page.KeyFigure(_shown(getattr(report, name)), "", words) for name, words in _FIGURES.items()]),
        _label_table(report),
        _reliability(report),
        *([page.Note(" ".join(notes))] if notes else []),
    ]


def label_reliability_blocks(before: MultiLabelReport, after: MultiLabelReport) -> list[page.Plot]:
    """One plot of both reports' reliability, such as before and after temperature scaling, and both errors below it."""
    from brightspark.core.reliability_plot import SEVERAL_LABELS, draw_reliabilities

    caption = (
        f"{_HOLDS}. The mean distance from it, the calibration error, was {error_shown(before)} before and is "
        f"{error_shown(after)} after, over all pairs of row and label."
    )
    with page.plot_style():
        figure = draw_reliabilities({"before": before, "after": after}, SEVERAL_LABELS)
        return [page.Plot(figure, alt="Reliability curves before and after", caption=caption)]


def _reliability(report: MultiLabelReport) -> page.Plot:
    from matplotlib.figure import Figure

    from brightspark.core.reliability_plot import SEVERAL_LABELS, draw_reliability

    with page.plot_style():
        figure = Figure()
        draw_reliability(figure.subplots(), report, SEVERAL_LABELS)
        caption = f"{_HOLDS}; the calibration error is the mean distance from it."
        return page.Plot(figure, alt="Reliability curve", caption=caption)


def _shown(value: float | None) -> float | str:
    return "–" if value is None else value


def _label_table(report: MultiLabelReport) -> page.Table:
    rows = [
        (name, s.support, s.precision, s.recall, s.f1, s.average_precision, s.auroc)
        for name, s in report.per_label.items()
    ]
    columns = ("label", "rows", "precision", "recall", "F1", "average precision", "AUROC")
    return page.Table(columns, rows, caption=f"Each label by itself, over {report.counts.measured:,} rows.")
