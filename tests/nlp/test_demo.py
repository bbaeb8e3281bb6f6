"""The demo's section on sentiment, on fewer tweets: what it shows is what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brightspark.core import report
from brightspark.nlp import TextClassifierModel, demo_models, demo_sentiment
from brightspark.nlp.demo_sentiment import split

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.samples, pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def test_the_section_shows_tweets_answers_and_the_baseline(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_sentiment, "TRAINING", 200)
    monkeypatch.setattr(demo_sentiment, "TEST", 150)
    monkeypatch.setitem(demo_sentiment.SETTINGS, "loader_workers", 0)
    monkeypatch.setattr(demo_models, "cache_root", lambda: tmp_path / "cache")  # whoever uses this machine keeps theirs
    said: list[str] = []
    made = demo_sentiment.section(spark, said.append)
    page = report.write(tmp_path / "index.html", [made], title="brightspark", context={})
    html = page.read_text()
    for shown in ("TF-IDF and logistic regression", "calibration error", "MIT (the package", "150 rows"):
        assert shown in html
    assert "no picture" not in html
    assert any("fine-tuning" in line for line in said)
    assert TextClassifierModel.load(str(demo_models.find("sentiment"))).labels == ("negative", "neutral", "positive")


def test_no_tweet_stands_on_both_sides(spark: SparkSession) -> None:
    tweets = spark.createDataFrame(
        [(f"tweet {number}", "neutral") for number in range(2_000)], "text string, label string"
    )
    train, test = split(tweets, full=True)
    assert train.join(test, "text").count() == 0
    assert train.count() + test.count() == 2_000
    assert 300 < test.count() < 500
