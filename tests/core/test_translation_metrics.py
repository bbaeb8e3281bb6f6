"""BLEU, chrF and TER over Spark are sacrebleu's own, to the last digit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from pyspark.sql import SparkSession

from brightspark.core.errors import InputError, SettingError
from brightspark.core.translation_evaluator import TranslationEvaluator
from brightspark.core.translation_metrics import translation

WORDS = ["the", "house", "was", "old,", "and", "we", "went", "over", "river", "grün", "Straße", "now.", "don't"]
SCHEMA = "translation string, target string, language string, error string"


def pairs(count: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """References of one to sixty words; translations with some words changed, lost or moved."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        wanted = [chance.choice(WORDS) for _ in range(chance.randint(1, 60))]
        given = [chance.choice(WORDS) if chance.random() < 0.2 else word for word in wanted if chance.random() > 0.1]
        if number % 7 == 0:
            given = given[len(given) // 2 :] + given[: len(given) // 2]
        found.append((" ".join(given), " ".join(wanted), ("de", "fr")[number % 2]))
    return found


def expected(some: list[tuple[str, str, str]], tokenize: str = "13a") -> list[float]:
    given, wanted = [one for one, _, _ in some], [[other for _, other, _ in some]]
    return [
        sacrebleu.corpus_bleu(given, wanted, tokenize=tokenize).score,
        sacrebleu.corpus_chrf(given, wanted).score,
        sacrebleu.corpus_ter(given, wanted).score,
    ]


def measured(scores: Any) -> list[float]:
    return [scores.bleu, scores.chrf, scores.ter]


def test_scores_are_sacrebleus(spark: SparkSession) -> None:
    said = pairs(120)
    frame = spark.createDataFrame([(*row, None) for row in said], SCHEMA).repartition(3)
    report = translation(frame, by="language")
    assert measured(report.overall) == pytest.approx(expected(said), abs=1e-9)
    for language in ("de", "fr"):
        some = [row for row in said if row[2] == language]
        assert report.by[language].rows == len(some)
        assert measured(report.by[language]) == pytest.approx(expected(some), abs=1e-9)
    short = [row for row in said if len(row[1].split()) <= 10]
    assert measured(report.by_length["1 to 10 words"]) == pytest.approx(expected(short), abs=1e-9)
    assert sum(scores.rows for scores in report.by_length.values()) == len(said)
    assert "tok:13a" in report.signatures["bleu"]
    assert all("version:" in signed for signed in report.signatures.values())


def test_another_tokenizer(spark: SparkSession) -> None:
    said = pairs(20)
    frame = spark.createDataFrame([(*row, None) for row in said], SCHEMA)
    report = translation(frame, tokenize="char")
    assert measured(report.overall) == pytest.approx(expected(said, "char"), abs=1e-9)
    assert "tok:char" in report.signatures["bleu"]
    with pytest.raises(SettingError, match=r"'13b'.*13a"):
        translation(frame, tokenize="13b")


def test_what_cannot_be_measured_is_counted(spark: SparkSession) -> None:
    rows = [("a b c d", "a b c d", "de", None), (None, "a b", "de", "the text is null"), ("a", None, "de", None)]
    report = translation(spark.createDataFrame(rows, SCHEMA))
    assert (report.rows, report.failed, report.without_reference, report.overall.rows) == (3, 1, 1, 1)
    assert measured(report.overall) == pytest.approx([100, 100, 0])
    assert "3 rows: 1 failed, 1 have no reference" in str(report)
    nothing = translation(spark.createDataFrame(rows[1:], SCHEMA))
    assert measured(nothing.overall) == [None, None, None]
    assert nothing.to_dict()["overall"]["rows"] == 0


def test_columns_that_are_not_there(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", "b", "de", None)], SCHEMA)
    with pytest.raises(InputError, match="reference"):
        translation(frame, reference="reference")
    with pytest.raises(InputError, match=r"'langage'.*language"):
        translation(frame, by="langage")


def test_the_evaluator_gives_a_number_of_the_report_and_knows_which_is_better(
    spark: SparkSession, tmp_path: Path
) -> None:
    said = [("the cat sat", "the cat sat", None), ("a dog ran off", "the dog ran", None), (None, "gone", "failed")]
    rows = spark.createDataFrame(said, "translation string, target string, error string")
    report = translation(rows).overall
    for metric in ("bleu", "chrf", "ter"):
        evaluator = TranslationEvaluator(metric)
        assert evaluator.evaluate(rows) == getattr(report, metric)
        assert evaluator.isLargerBetter() == (metric != "ter")
    evaluator.save(str(tmp_path / "ter"))
    assert TranslationEvaluator.load(str(tmp_path / "ter")).evaluate(rows) == report.ter
    with pytest.raises(InputError, match="no chrf of these rows: 1 failed"):
        TranslationEvaluator().evaluate(rows.filter("error is not null"))
    with pytest.raises(SettingError, match="'blue' is not known; did you mean 'bleu'"):
        TranslationEvaluator("blue")
