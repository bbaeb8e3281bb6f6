"""A training's journal fills a section of the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brightspark.core import report as page
from brightspark.core.errors import InputError
from brightspark.core.training_blocks import training_blocks


def write_journal(folder: Path) -> None:
    """Two epochs of three steps; it died after step 4 and began again from step 3."""
    lines: list[dict[str, object]] = [{"kind": "started", "ranks": 2, "step": 0, "epoch": 0, "rows": 9}]
    for step in (1, 2, 3, 4, 3, 4, 5, 6):
        if step == 3 and len(lines) > 5:
            lines.append({"kind": "started", "ranks": 1, "step": 2, "epoch": 0, "rows": 9})
        lines.append(
            {"kind": "step", "epoch": (step - 1) // 3, "step": step, "steps": 6, "loss": 1 / step + len(lines) / 1000,
             "rate": 0.1, "samples_per_second": 50.0, "seconds_left": 0.0}
        )  # fmt: skip
        if step in (3, 6):
            lines.append({"kind": "epoch", "epoch": step // 3 - 1, "step": step, "skipped": 1, "loss": 0.5, "f1": 0.9})
    (folder / "metrics.jsonl").write_text("".join(json.dumps({"time": 0, **line}) + "\n" for line in lines))


def test_blocks_show_the_journal(tmp_path: Path) -> None:
    write_journal(tmp_path)
    figures, plot, table = training_blocks(tmp_path)
    assert isinstance(figures, page.Figures)
    assert [figure.value for figure in figures.figures] == ["6 of 6", 50.0, pytest.approx(1 / 6, abs=0.05), 1, 2]
    assert isinstance(plot, page.Plot)
    training, validation, again = plot.figure.axes[0].lines
    assert list(training.get_xdata()) == [1, 2, 3, 4, 5, 6]
    later = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[7])
    assert (later["step"], training.get_ydata()[2]) == (3, later["loss"])
    assert list(validation.get_xdata()) == [3, 6]
    assert list(again.get_xdata()) == [2, 2]
    assert isinstance(table, page.Table)
    assert list(table.columns) == ["epoch", "steps", "skipped", "loss", "f1"]
    assert [list(row) for row in table.rows] == [[1, 3, 1, 0.5, 0.9], [2, 6, 1, 0.5, 0.9]]
    section = page.Section(title="x", blocks=[figures, plot, table])
    assert "begun again from a snapshot" in page.write(
        tmp_path / "page.html", [section], title="", context={}
    ).read_text(encoding="utf-8")


def test_a_folder_without_a_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no journal"):
        training_blocks(tmp_path)
