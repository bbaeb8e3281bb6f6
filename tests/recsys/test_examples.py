"""The example on recommendation, from its arguments to its last line, on events of a made-up shop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples import recommendation
from tests.recsys.films import films, rated

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.slow
@pytest.mark.classic
def test_it_learns_measures_and_recommends(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "cache"))
    rated(spark).select("user", "item").write.parquet(str(tmp_path / "bought"))  # each row is an event
    films(spark).write.parquet(str(tmp_path / "products"))
    monkeypatch.setattr(sys, "argv", ["recommendation.py", str(tmp_path / "bought"), str(tmp_path / "products")])
    recommendation.main()
    printed = capsys.readouterr().out
    assert "nDCG" in printed
    assert printed.count("like Film ") >= recommendation.SHOWN_USERS
