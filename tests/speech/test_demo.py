"""The demo's section on speech, on the few recordings that every machine gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brightspark import samples
from brightspark.core import report
from brightspark.core.report import Sound, Table
from brightspark.speech import demo_prompts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.samples, pytest.mark.slow, pytest.mark.classic]


def test_shows_recordings_their_words_and_what_is_damaged(spark: SparkSession, tmp_path: Path) -> None:
    licences = samples.licences("pytest-audioeval")
    made = demo_prompts.section_of(spark, samples.recordings(), lambda said: None, licences=licences)
    tables = {table.columns[0]: table for table in made.blocks if isinstance(table, Table)}
    ours, plain = tables[""].rows
    assert ours[1] == plain[1] == 3
    assert ours[2:] == plain[2:], "three clear clips are written down as plain transformers does"
    damaged = dict(tables["file"].rows)
    assert set(damaged) == {"cut short.wav", "empty.wav", "a text.wav", "silence.wav"}
    assert "nobody speaks" in str(damaged["silence.wav"])
    assert "cut" in str(damaged["cut short.wav"])
    assert any(isinstance(block, Sound) for block in made.blocks)
    page = report.write(tmp_path / "report.html", [made], title="Speech", context={}).read_text("utf-8")
    assert "<audio" in page
    assert "lazy dog" in page
