"""A multi-label report as blocks of the HTML report: its key figures, and its labels in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core import report as page

if TYPE_CHECKING:
    from brightspark.core.multi_label_report import MultiLabelReport

_FIGURES = {
    "mean_average_precision": "mean average precision over the labels",
    "micro_f1": "micro F1: all labels together",
    "exact_match": "share of rows with exactly the right labels",
}


def multi_label_blocks(report: MultiLabelReport) -> list[page.Figures | page.Table | page.Note]:
    """The key figures, the table of labels and, where there are any, the notes."""
    notes = [f"{name}: {note}." for name, note in report.notes.items()]
    return [
        page.Figures([page.KeyFigure(_shown(getattr(report, name)), "", words) for name, words in _FIGURES.items()]),
        _label_table(report),
        *([page.Note(" ".join(notes))] if notes else []),
    ]


def _shown(value: float | None) -> float | str:
    return "–" if value is None else value


def _label_table(report: MultiLabelReport) -> page.Table:
    rows = [
        (name, s.support, s.precision, s.recall, s.f1, s.average_precision, s.auroc)
        for name, s in report.per_label.items()
    ]
    columns = ("label", "rows", "precision", "recall", "F1", "average precision", "AUROC")
    return page.Table(columns, rows, caption=f"Each label by itself, over {report.counts.measured:,} rows.")
