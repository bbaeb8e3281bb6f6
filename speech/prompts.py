"""How each Whisper checkpoint is told the language and what to do. Knows transformers, neither torch nor Spark."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brightspark.core.errors import SettingError, did_you_mean
from brightspark.speech.transcription_settings import TranscriptionSettings


@dataclass(frozen=True)
class Prompts:
    """The special tokens of a checkpoint."""

    start: int
    no_timestamps: int
    end: int
    languages: dict[str, int]
    """by their codes; none where a checkpoint knows English alone"""
    tasks: dict[str, int]

    @property
    def nobody(self) -> int:
        """The token of a recording in which nobody speaks: in every vocabulary of Whisper's the one before."""
        return self.no_timestamps - 1

    def check(self, settings: TranscriptionSettings) -> None:
        """Raises SettingError for a language or a task that the checkpoint does not know."""
        if not self.languages:
            if settings.language not in (None, "en") or settings.task != "transcribe":
                raise SettingError(
                    f"language={settings.language!r}, task={settings.task!r}: this checkpoint writes English down, and "
                    "does nothing else; take a multilingual one"
                )
        elif settings.language is not None and settings.language not in self.languages:
            raise SettingError(f"language={settings.language!r}: {did_you_mean(settings.language, self.languages)}")

    def of(self, language: str, task: str) -> list[int]:
        """What a transcript in a language begins with."""
        told = [self.languages[language], self.tasks[task]] if self.languages else []
        return [self.start, *told, self.no_timestamps]


def prompts_of(folder: Path) -> Prompts:
    """Those of a checkpoint, by its generation_config.json and its tokenizer."""
    path = folder / "generation_config.json"
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def token(text: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(text))

    codes = told.get("lang_to_id") if told.get("is_multilingual", True) else None
    return Prompts(
        start=token("<|startoftranscript|>"),
        no_timestamps=token("<|notimestamps|>"),
        end=token("<|endoftext|>"),
        languages={code.strip("<|>"): int(number) for code, number in (codes or {}).items()},
        tasks={name: token(f"<|{name}|>") for name in ("transcribe", "translate")},
    )
