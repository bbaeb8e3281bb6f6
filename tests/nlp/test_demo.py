"""The demo's sections on texts, on fewer of them: what they show is what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brightspark.core import demo_models, report
from brightspark.nlp import TextClassifierModel, TranslatorModel, demo_sentiment, demo_topics, demo_translation
from brightspark.nlp.demo_sentiment import split

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.samples, pytest.mark.slow, pytest.mark.classic, pytest.mark.usefixtures("one_thread")]


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


def test_topics_are_learned_from_vectors(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_topics, "TRAINING", 240)
    monkeypatch.setattr(demo_topics, "TEST", 80)
    made = demo_topics.section(spark, print)
    page = report.write(tmp_path / "index.html", [made], title="brightspark", context={}).read_text()
    for shown in ("from 240 of them", "answered for 80 later ones", "TF-IDF and logistic regression", "taken for"):
        assert shown in page
    (right,) = [figure for figure in made.blocks[0].figures if figure.unit == "%"]  # type: ignore[union-attr]
    assert float(right.value) > 25, "twenty newsgroups, of which guessing tells 5 %"


def test_a_translator_learns_from_scratch_and_stands_beside_the_dictionary(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_translation, "WORDS", 9)
    monkeypatch.setattr(demo_translation, "TEST_VERSES", 20)
    small = {"layers": 1, "width": 64, "vocabulary": 600, "epochs": 1, "loader_workers": 0, "training_tokens": 32}
    monkeypatch.setattr(demo_translation, "SHORT", small)
    monkeypatch.setattr(demo_models, "cache_root", lambda: tmp_path / "cache")
    made = demo_translation.section(spark, print)
    page = report.write(tmp_path / "index.html", [made], title="brightspark", context={}).read_text()
    for shown in ("the network", "word by word", "Segond", "nrefs:1|case:mixed", "behind the dictionary"):
        assert shown in page
    kept = TranslatorModel.load(str(demo_models.find("translator")))
    answers = kept.transform(spark.createDataFrame([("And God said",)], "text string")).collect()
    assert answers[0]["error"] is None


def test_no_book_is_learned_from_and_translated(spark: SparkSession) -> None:
    verses = spark.createDataFrame(
        [(book, f"verse {number}") for book in ("Mark", "Luke") for number in range(300)], "book string, text string"
    )
    train, test = demo_translation.split(verses, full=True)
    assert {row["book"] for row in train.collect()} == {"Luke"}
    assert {row["book"] for row in test.collect()} == {"Mark"}
    assert test.count() == demo_translation.TEST_VERSES
