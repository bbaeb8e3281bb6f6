"""How recordings are transcribed: what a TranscriberModel can be told. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.classifier_settings import check_different
from brightspark.core.errors import SettingError
from brightspark.speech.settings import AudioSettings

TASKS = ("transcribe", "translate")


@dataclass(frozen=True, kw_only=True)
class TranscriptionSettings(AudioSettings):
    """How a TranscriberModel listens, writes, and names its answers."""

    language: Annotated[
        str | None, "of the recordings, as in en or de; by default each segment's own is found out, where a network can"
    ] = None
    task: Annotated[str, "transcribe, in the language that is spoken; or translate, into English"] = "transcribe"
    words: Annotated[bool, "tell each word's time and confidence, at the cost of one more pass of the decoder"] = True
    full_window: Annotated[
        bool,
        "work out all 30 s of silence behind a short recording, exactly as transformers does, at many times the cost",
    ] = False
    max_new_tokens: Annotated[
        int | None, "tokens of a segment's text; then it is cut. By default as many as the decoder can write"
    ] = None
    segment_seconds: Annotated[
        float, "a longer recording is cut at its pauses into segments of at most so many seconds; Whisper hears 30"
    ] = 30.0
    batch_size: Annotated[int, "seconds of sound in a batch, padding included"] = 160
    text_col: Annotated[str, "column for the transcript"] = "text"
    language_col: Annotated[str | None, "column for the language; none by default"] = None
    cut_col: Annotated[str | None, "column for whether a segment's text ran out of tokens; none by default"] = None
    duration_col: Annotated[str, "column for the recording's seconds"] = "duration"
    words_col: Annotated[str, "column for the words: word, start and end in seconds, confidence"] = "words"
    error_col: Annotated[str, "column for the reason why a recording has no transcript"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        named = [self.text_col, self.duration_col, self.error_col, *filter(None, [self.language_col, self.cut_col])]
        check_different([*named, *([self.words_col] if self.words else [])])
        if self.task not in TASKS:
            raise SettingError(f"task={self.task!r} must be one of {', '.join(TASKS)}")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise SettingError(f"max_new_tokens={self.max_new_tokens} must be at least 1")
        if not 1 <= self.segment_seconds <= 30:
            raise SettingError(f"segment_seconds={self.segment_seconds} must be between 1 and 30, what Whisper hears")
