"""The example on subtitles, from its arguments to its files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile

from examples import subtitles
from tests.speech.checkpoints import RATE, save_whisper, sound

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.classic]


def test_each_recording_gets_its_subtitles(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "calls" / "monday").mkdir(parents=True)
    soundfile.write(tmp_path / "calls" / "a.wav", sound(1, 1), RATE)
    soundfile.write(tmp_path / "calls" / "monday" / "a.wav", sound(2, 1), RATE)
    (tmp_path / "calls" / "torn.wav").touch()
    model = save_whisper(tmp_path / "whisper")
    monkeypatch.setattr(sys, "argv", ["subtitles", str(tmp_path / "calls"), str(tmp_path / "out"), str(model)])
    subtitles.main()
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.srt"))
    assert written == ["a.srt", "monday/a.srt"]
    assert (tmp_path / "out" / "a.srt").read_text("utf-8").startswith("1\n00:00:00,")
    assert "torn.wav: " in capsys.readouterr().out
