"""The examples on texts, from their arguments to their last line, on small data."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples import texts, translation
from tests.nlp.checkpoints import WORDS, text
from tests.nlp.translators import save_translator

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.classic, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "cache"))


def table(path: Path, *rows: tuple[str, ...]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def test_it_learns_measures_and_explains(
    spark: SparkSession,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [(text(label, number), label) for number in range(150) for label in ("glad", "grim")]
    said = table(tmp_path / "said.csv", ("text", "label"), *rows)
    monkeypatch.setattr(sys, "argv", ["texts.py", said, str(encoder)])
    texts.main()
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    explained = [line for line in printed.splitlines() if line.startswith(("glad for ", "grim for "))]
    assert len(explained) == texts.SHOWN
    known = {word for words in WORDS.values() for word in words}
    assert all(set(line.partition(" for ")[2].partition(":")[0].split(", ")) <= known for line in explained)


def test_it_learns_to_translate_and_measures_other_documents(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"book {number % 80}", text("glad", number, 5), text("grim", number, 5)) for number in range(320)]
    pairs = table(tmp_path / "pairs.csv", ("book", "text", "target"), *rows)
    start = save_translator(tmp_path / "marian", "marian")
    monkeypatch.setattr(sys, "argv", ["translation.py", pairs, str(start)])
    translation.main()
    printed = capsys.readouterr().out
    assert "translation" in printed
    assert "BLEU" in printed
