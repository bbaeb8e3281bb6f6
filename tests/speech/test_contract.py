"""The contract of every solution: a small Whisper that transcribes tones of all lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile

from brightspark.core.testing import Answer, SolutionContract
from brightspark.speech.log_mel import log_mel
from brightspark.speech.transcribe import Piece, Writer
from brightspark.speech.transcriber import TranscriberModel
from brightspark.speech.transcription_settings import TranscriptionSettings
from tests.speech.checkpoints import RATE, plain_transcripts, save_whisper, sound

LIMIT = 12


@pytest.mark.slow
class TestTranscriber(SolutionContract):
    no_estimator = "there is no estimator of speech recognition yet"

    def model(self, folder: Path) -> TranscriberModel:
        self.folder = save_whisper(folder / "whisper")
        return TranscriberModel.pretrained(
            str(self.folder), precision="float32", max_new_tokens=LIMIT, full_window=True, words=False
        )

    def records(self, folder: Path) -> list[dict[str, Any]]:
        made = []
        for seed in range(210):
            path = folder / f"{seed:03}.wav"
            soundfile.write(path, sound(seed, 0.2 + 0.03 * (seed % 40)), RATE, subtype="FLOAT")
            made.append({"path": str(path)})
        return made

    def broken(self, folder: Path) -> list[dict[str, Any]]:
        (folder / "text.wav").write_text("this is no sound")
        (folder / "empty.wav").touch()
        return [{"path": str(folder / name)} for name in ("text.wav", "empty.wav", "missing.wav")]

    def reference(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        sounds = [soundfile.read(record["path"], dtype="float32")[0] for record in records]
        texts = plain_transcripts(self.folder, sounds, limit=LIMIT)
        assert len(set(texts)) > 50, "the transcripts are too much alike to tell records apart"
        return [(text, [len(each) / RATE]) for text, each in zip(texts, sounds, strict=True)]

    def answer(self, row: Any) -> Answer:
        return row["text"], [row["duration"]]


@pytest.mark.slow
class TestTranscriberByDefault(TestTranscriber):
    """Without the silence behind short recordings, and with words: against the same network, one by one."""

    def model(self, folder: Path) -> TranscriberModel:
        self.folder = save_whisper(folder / "whisper")
        return TranscriberModel.pretrained(str(self.folder), precision="float32", max_new_tokens=LIMIT)

    def reference(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        writer = Writer(self.folder, "cpu", TranscriptionSettings(precision="float32", max_new_tokens=LIMIT))
        answers = []
        for record in records:
            heard = soundfile.read(record["path"], dtype="float32")[0]
            (part,) = writer.write(writer.prepare([Piece(0.0, len(heard) / RATE, log_mel(heard, 80))]))
            answers.append((part.text, [part.seconds, part.words[0]["confidence"] if part.words else 0.0]))
        return answers

    def answer(self, row: Any) -> Answer:
        return row["text"], [row["duration"], row["words"][0]["confidence"] if row["words"] else 0.0]
