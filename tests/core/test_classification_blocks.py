"""A classification report fills a section of the page: a table of the classes and a plot of each panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brightspark.core import report as page
from brightspark.core.calibration import rescaled
from brightspark.core.classification_blocks import classification_blocks, reliability_blocks
from brightspark.core.metrics import classification

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = [("cat", "cat", [0.9, 0.1]), ("dog", "dog", [0.2, 0.8]), ("cat", "dog", [0.4, 0.6]), ("dog", "dog", [0.1, 0.9])]


def test_blocks_show_the_report(spark: SparkSession, tmp_path: Path) -> None:
    scored = spark.createDataFrame(ROWS, "label string, prediction string, probability array<double>")
    report = classification(scored, labels=["cat", "dog"])
    table, *plots = classification_blocks(report)
    assert isinstance(table, page.Table)
    assert table.caption == "Each label against the rest, over 4 rows."
    assert [list(row) for row in table.rows] == [
        ["cat", 2, 1.0, 0.5, pytest.approx(2 / 3), 1.0],
        ["dog", 2, pytest.approx(2 / 3), 1.0, 0.8, 1.0],
    ]
    titles = [plot.figure.axes[0].get_title() for plot in plots if isinstance(plot, page.Plot)]
    assert titles == ["confusion", "ROC (area)", f"reliability (calibration error {report.calibration_error:.3f})"]
    counts = [text.get_text() for text in plots[0].figure.axes[0].texts]
    assert counts == ["1", "1", "0", "2"]
    written = page.write(
        tmp_path / "page.html", [page.Section(title="x", blocks=[table, *plots])], title="", context={}
    )
    assert written.read_text(encoding="utf-8").count("image/svg+xml") == 3


def test_blocks_show_how_often_the_model_abstained(spark: SparkSession) -> None:
    rows = [*ROWS, ("dog", None, [0.45, 0.55])]
    scored = spark.createDataFrame(rows, "label string, prediction string, probability array<double>")
    table, *_ = classification_blocks(classification(scored, labels=["cat", "dog"]))
    assert isinstance(table, page.Table)
    assert table.caption.endswith("The model abstained on 1 other rows: its coverage is 80.0%.")


def test_reliability_before_and_after_is_one_plot_of_two_curves(spark: SparkSession, tmp_path: Path) -> None:
    scored = spark.createDataFrame(ROWS, "label string, prediction string, probability array<double>")
    before, empty = (classification(rows, labels=["cat", "dog"]) for rows in (scored, scored.limit(0)))
    after = classification(scored.withColumn("probability", rescaled("probability", 4.0)), labels=["cat", "dog"])
    (plot,) = reliability_blocks(before, after)
    curves = {line.get_label(): line.get_xydata().tolist() for line in plot.figure.axes[0].lines}
    for name, report in (("before", before), ("after", after)):
        assert curves[name] == [[step.confidence, step.accuracy] for step in report.reliability]
    assert curves["before"] != curves["after"]
    errors = f"was {before.calibration_error:.3f} before and is {after.calibration_error:.3f} after"
    assert errors in plot.caption
    (nothing,) = reliability_blocks(empty, after)
    assert "was unknown before" in nothing.caption
    page.write(tmp_path / "page.html", [page.Section(title="x", blocks=[plot, nothing])], title="", context={})
