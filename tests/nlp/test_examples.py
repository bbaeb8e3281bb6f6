"""The example on texts, from its arguments to its last line, on words that say their label."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples import texts
from tests.nlp.checkpoints import WORDS, text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def test_it_learns_measures_and_explains(
    spark: SparkSession,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "cache"))
    rows = [f"{text(label, number)},{label}" for number in range(150) for label in ("glad", "grim")]
    (tmp_path / "said.csv").write_text("\n".join(["text,label", *rows]))
    monkeypatch.setattr(sys, "argv", ["texts.py", str(tmp_path / "said.csv"), str(encoder)])
    texts.main()
    said = capsys.readouterr().out
    assert "accuracy" in said
    explained = [line for line in said.splitlines() if line.startswith(("glad for ", "grim for "))]
    assert len(explained) == texts.SHOWN
    known = {word for words in WORDS.values() for word in words}
    assert all(set(line.partition(" for ")[2].partition(":")[0].split(", ")) <= known for line in explained)
