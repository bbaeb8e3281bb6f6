"""The example that watches a camera: what it says of a video that has nothing to learn from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples import surveillance
from tests.vision.films import save_film

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SIZE = (320, 240)


def watch(film: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the program to its end, and gives its last words."""
    monkeypatch.setattr(sys, "argv", ["surveillance.py", str(film), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        surveillance.main()
    return str(ended.value.code)


def test_a_video_in_which_nothing_moves(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = save_film(tmp_path / "still.mp4", frames=1, size=SIZE)
    assert "nothing moves in this video" in watch(film, tmp_path / "out", monkeypatch)


def test_a_video_that_cannot_be_read(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    assert "no frame of this video can be read" in watch(tmp_path / "text.mp4", tmp_path / "out", monkeypatch)


def test_patches_are_cut_where_something_moves(spark: SparkSession, tmp_path: Path) -> None:
    """The film's bars light up one after the other: those are the boxes, and each has a still one beside it."""
    film = save_film(tmp_path / "bars.mp4", frames=9, rate=2, size=SIZE)
    crops = surveillance.cut_crops(spark, film, tmp_path / "out").collect()
    assert {row["label"] for row in crops} == {"person", "background"}
    assert {row["time"] for row in crops if row["label"] == "person"} <= {0.5 * number for number in range(1, 9)}


@pytest.mark.parametrize(("labels", "said"), [(["person"], "patches of 'person' only"), ([], "no patches at all")])
def test_a_first_part_with_one_label(labels: list[str], said: str, spark: SparkSession) -> None:
    rows = [(1.0, label) for label in labels] + [(10.0, "person"), (10.0, "background")]
    crops = spark.createDataFrame(rows, "time double, label string")
    with pytest.raises(SystemExit, match=rf"the first 6 s of this video show {said}"):
        surveillance.end_of_learning(crops)
