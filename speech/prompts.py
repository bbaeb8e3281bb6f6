"""How each Whisper checkpoint is told the language and what to do. Knows neither torch nor Spark."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brightspark.core.errors import ArtifactError, SettingError, did_you_mean
from brightspark.speech.transcription_settings import TranscriptionSettings

MULTILINGUAL = 51_865  # tokens of a vocabulary that knows more than English, as OpenAI tells them apart
_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")


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

    def known(self, settings: TranscriptionSettings) -> str | None:
        """The language of all recordings, where it need not be found out."""
        return settings.language or (None if self.languages else "en")

    def of(self, language: str, task: str) -> list[int]:
        """What a transcript in a language begins with."""
        told = [self.languages[language], self.tasks[task]] if self.languages else []
        return [self.start, *told, self.no_timestamps]


def prompts_of(folder: Path, tokenizer: Any) -> Prompts:
    """Those of a checkpoint, by its tokenizer; generation_config.json may say that it is multilingual.

    Raises ArtifactError where the tokenizer is no Whisper's.
    """
    tokens: dict[str, int] = tokenizer.get_vocab()

    def token(text: str) -> int:
        if text not in tokens:
            raise ArtifactError(f"the tokenizer of {folder} has no {text}: it is no Whisper's")
        return int(tokens[text])

    several = _is_multilingual(folder)
    found = {match[1]: number for text, number in tokens.items() if (match := _LANGUAGE.fullmatch(text))}
    return Prompts(
        start=token("<|startoftranscript|>"),
        no_timestamps=token("<|notimestamps|>"),
        end=token("<|endoftext|>"),
        languages=dict(sorted(found.items(), key=lambda item: item[1])) if several else {},
        tasks={name: token(f"<|{name}|>") for name in ("transcribe", "translate")} if several else {},
    )


def _is_multilingual(folder: Path) -> bool:
    said = [json.loads(path.read_text("utf-8")) for path in [folder / "generation_config.json"] if path.is_file()]
    told = said[0].get("is_multilingual") if said else None
    if told is not None:
        return bool(told)
    return bool(json.loads((folder / "config.json").read_text("utf-8")).get("vocab_size", 0) >= MULTILINGUAL)
