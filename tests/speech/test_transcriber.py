"""Recordings of every kind on Spark: each keeps its row, and gets a text or the reason why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from brightspark import samples
from brightspark.core.transcription_metrics import transcription
from brightspark.speech import TranscriberModel, read_audio
from tests.speech.checkpoints import RATE, save_whisper, sound

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper") / "whisper")


def _by_name(rows: list[Any]) -> dict[str, Any]:
    return {Path(row["path"]).name: row for row in rows}


def test_every_recording_has_a_text_or_an_error(spark: SparkSession, whisper: Path, tmp_path: Path) -> None:
    spoken = sound(0, 1.5)
    for name, heard, rate, kind in (
        ("plain.wav", spoken, RATE, "PCM_16"),
        ("wide.wav", spoken, RATE, "PCM_24"),
        ("slow.wav", spoken[::2], 8_000, "PCM_16"),
        ("fast.flac", np.repeat(spoken, 6), 96_000, "PCM_24"),
        ("six.wav", np.stack([spoken] * 6, axis=1), RATE, "PCM_16"),
        ("clipped.wav", np.clip(spoken * 50, -1, 1), RATE, "PCM_16"),
        ("short.wav", spoken[:160], RATE, "PCM_16"),
        ("silence.wav", np.zeros(RATE, np.float32), RATE, "PCM_16"),
        ("none.wav", spoken[:0], RATE, "PCM_16"),
        ("nan.wav", np.where(np.arange(len(spoken)) == 99, np.nan, spoken), RATE, "FLOAT"),
    ):
        soundfile.write(tmp_path / name, heard, rate, subtype=kind)
    whole = (tmp_path / "plain.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "header.wav").write_bytes(whole[:20])
    (tmp_path / "zero.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    model = TranscriberModel.pretrained(str(whisper), precision="float32", max_new_tokens=20)
    rows = _by_name(model.transform(read_audio(spark, str(tmp_path))).collect())
    assert len(rows) == 14
    failed = {name for name, row in rows.items() if row["error"] is not None}
    assert failed == {"none.wav", "nan.wav", "cut.wav", "header.wav", "zero.wav", "text.wav"}
    for name, row in rows.items():
        assert (row["text"] is None) == (row["words"] is None) == (row["duration"] is None) == (name in failed)
    assert rows["silence.wav"]["text"] == ""
    assert rows["silence.wav"]["words"] == []
    assert rows["six.wav"]["text"] == rows["plain.wav"]["text"] != ""
    assert rows["short.wav"]["duration"] == pytest.approx(0.01)


def test_a_long_recording_is_its_segments_in_order(spark: SparkSession, whisper: Path, tmp_path: Path) -> None:
    parts = [sound(seed, 1.2) for seed in range(12)]
    pause = np.zeros(RATE // 2, np.float32)
    soundfile.write(tmp_path / "long.wav", np.concatenate([each for part in parts for each in (part, pause)]), RATE)
    model = TranscriberModel.pretrained(str(whisper), precision="float32", max_new_tokens=20)
    (row,) = model.transform(read_audio(spark, str(tmp_path))).collect()
    assert row["duration"] == pytest.approx(12 * 1.7)
    times = [time for word in row["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert times[-1] > 18
    assert row["text"].split() == [piece for word in row["words"] for piece in word["word"].split()]


def test_settings_name_the_columns(spark: SparkSession, whisper: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", sound(1, 1), RATE)
    model = TranscriberModel.pretrained(str(whisper), text_col="heard", words=False, language_col="language")
    (row,) = model.transform(read_audio(spark, str(tmp_path))).collect()
    assert {"heard", "language", "duration", "error"} < set(row.asDict())
    assert "words" not in row.asDict()
    assert row["language"] == "en"


@pytest.mark.samples
@pytest.mark.classic
def test_writes_down_what_people_say(spark: SparkSession) -> None:
    """Whisper tiny.en on the English samples, short ones: without the silence behind them as with it."""
    folder = samples.recordings()
    heard = read_audio(spark, str(folder), manifest=str(folder / "recordings.csv")).filter("language = 'en'")
    weights = str(samples.model("whisper-tiny.en"))
    texts = {}
    for full_window in (True, False):
        model = TranscriberModel.pretrained(weights, precision="float32", full_window=full_window)
        scored = model.transform(heard)
        texts[full_window] = {name: row["text"] for name, row in _by_name(scored.collect()).items()}
        assert len(texts[full_window]) == 3
        words = scored.filter("path LIKE '%fox%'")
        assert transcription(words, normaliser="english").overall.wer == 0.0
    assert texts[True]["quick_brown_fox.wav"] == texts[False]["quick_brown_fox.wav"]
    assert texts[True]["hello_world.wav"] == texts[False]["hello_world.wav"]
