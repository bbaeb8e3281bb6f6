"""Word and character error rates over Spark are jiwer's own, to the last digit."""

from __future__ import annotations

import random
from typing import Any

import jiwer
import pytest
from pyspark.sql import SparkSession
from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

from brightspark.core import transcription_metrics
from brightspark.core.errors import InputError, SettingError
from brightspark.core.transcription_metrics import transcription

WORDS = ["turn", "the", "lights", "off", "please", "and", "dial", "seven", "grün", "it's", "agent", "now"]
SCHEMA = "path string, text string, reference string, speaker string, duration double, error string"
Said = tuple[str, str, str, str, float, str | None]


def said(count: int, seed: int = 0) -> list[Said]:
    """References of none to twenty words; transcripts with some words changed, lost or added."""
    chance = random.Random(seed)
    found: list[Said] = []
    for number in range(count):
        wanted = [chance.choice(WORDS) for _ in range(number % 20)]
        given = [chance.choice(WORDS) if chance.random() < 0.2 else word for word in wanted if chance.random() > 0.1]
        given += [chance.choice(WORDS)] * (chance.random() < 0.2)
        found.append(
            (f"{number:03}.wav", " ".join(given), " ".join(wanted), "ab"[number % 2], float(number % 40), None)
        )
    return found


def rates(rows: list[Said]) -> list[float]:
    given, wanted = [row[1] for row in rows], [row[2] for row in rows]
    return [jiwer.wer(wanted, given), jiwer.cer(wanted, given)]


def test_rates_are_jiwers(spark: SparkSession) -> None:
    rows = said(120)
    report = transcription(spark.createDataFrame(rows, SCHEMA).repartition(3), by=["speaker"], normaliser="none")
    assert [report.overall.wer, report.overall.cer] == pytest.approx(rates(rows), abs=1e-12)
    counted = jiwer.process_words([row[2] for row in rows], [row[1] for row in rows])
    for name in ("substitutions", "deletions", "insertions"):
        assert getattr(report.overall, name) == getattr(counted, name)
    for speaker in "ab":
        some = [row for row in rows if row[3] == speaker]
        found = report.by["speaker"][speaker]
        assert found.rows == len(some)
        assert [found.wer, found.cer] == pytest.approx(rates(some), abs=1e-12)
    short = [row for row in rows if 2 < row[4] <= 5]
    assert report.by_duration["2 to 5 s"].rows == len(short)
    assert report.by_duration["2 to 5 s"].wer == pytest.approx(rates(short)[0], abs=1e-12)
    assert sum(scores.rows for scores in report.by_duration.values()) == len(rows)


def test_the_worst_come_first_and_confusions_are_counted(spark: SparkSession) -> None:
    rows: list[Any] = [
        ("one.wav", "turn a light off", "turn the lights off", None, 1.0, None),
        ("two.wav", "turn a lamp", "turn the lamp", None, 1.0, None),
        ("three.wav", "no", "", None, 1.0, None),
        ("four.wav", "all right", "all right", None, 1.0, None),
    ]
    report = transcription(spark.createDataFrame(rows, SCHEMA), worst=2, confused=1)
    assert [(one.key, one.errors, one.wer) for one in report.worst] == [
        ("one.wav", 2, 0.5),
        ("three.wav", 1, float("inf")),
    ]
    assert report.confused == (("the", "a", 2),)
    assert "the → a (2)" in str(report)


def test_texts_are_made_alike_by_the_normaliser_that_is_named(spark: SparkSession) -> None:
    given, wanted = "Press 21, Mr. Doe!", "press twenty-one mister doe"
    frame = spark.createDataFrame([("a", given, wanted, None, 1.0, None)], SCHEMA)
    found = []
    for name, alike in (("none", str), ("basic", BasicTextNormalizer()), ("english", EnglishTextNormalizer({}))):
        report = transcription(frame, normaliser=name)
        assert report.overall.wer == pytest.approx(jiwer.wer(alike(wanted), alike(given)))
        assert f"normalised: {name}" in str(report)
        found.append(report.overall.wer)
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1] == 0


def test_what_cannot_be_measured_is_counted(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Any] = [
        ("a", "so be it", "so be it", None, 1.0, None),
        ("b", None, "lost", None, None, "the file is empty"),
        ("c", "nobody knows", None, None, 1.0, None),
        ("d", "", "silence", None, 1.0, None),
    ]
    report = transcription(spark.createDataFrame(rows, SCHEMA))
    assert (report.rows, report.failed, report.without_reference, report.overall.rows) == (4, 1, 1, 2)
    assert (report.overall.wer, report.overall.deletions) == (0.25, 1)
    nothing = transcription(spark.createDataFrame(rows[1:3], SCHEMA))
    assert (nothing.overall.rows, nothing.overall.wer, nothing.overall.cer) == (0, None, None)
    assert nothing.worst == nothing.confused == ()
    with pytest.raises(SettingError, match=r"'englisch'.*english"):
        transcription(spark.createDataFrame(rows, SCHEMA), normaliser="englisch")
    monkeypatch.setattr(transcription_metrics, "GROUP_LIMIT", 1)
    with pytest.raises(InputError, match="More than 1 different values: is path a speaker"):
        transcription(spark.createDataFrame(rows, SCHEMA), by=["path"])
    with pytest.raises(InputError, match=r"no column 'speakr'.*speaker"):
        transcription(spark.createDataFrame(rows, SCHEMA), by=["speakr"])
