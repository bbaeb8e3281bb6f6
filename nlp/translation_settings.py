"""How texts are translated: what a TranslatorModel can be told. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.classifier_settings import check_different
from brightspark.core.errors import SettingError
from brightspark.core.settings import ScoringSettings

EARLY_STOPPING = ("false", "true", "never")


@dataclass(frozen=True, kw_only=True)
class TranslationSettings(ScoringSettings):
    """How a TranslatorModel reads, translates, and names its answers."""

    text_col: Annotated[str, "column of texts"] = "text"
    source_language: Annotated[
        str | None, "as the checkpoint names it: eng_Latn (NLLB), en (M2M100), en_XX (mBART), English (T5)"
    ] = None
    target_language: Annotated[str | None, "likewise; Marian needs it where a checkpoint has several targets"] = None
    beams: Annotated[int, "translations that are followed at a time; 1 is greedy, and the fastest"] = 4
    length_penalty: Annotated[float, "power of its length by which a translation's log-probability is divided"] = 1.0
    no_repeat_ngram: Annotated[int, "tokens in a row that a translation may not repeat; 0 lets it"] = 0
    early_stopping: Annotated[
        str, "when a search ends: true, with as many translations as beams; false, when a better one is unlikely; never"
    ] = "false"
    max_new_tokens: Annotated[int, "tokens of a translation, of each part of a long text; then it is cut"] = 256
    max_tokens: Annotated[
        int, "tokens of a part: a longer text is split at its sentences, and the translations joined"
    ] = 256
    max_chars: Annotated[int, "a text with more characters is an error, before it is cut into tokens"] = 1_000_000
    batch_size: Annotated[int, "tokens of the source in a batch, padding included; beams come on top"] = 1024
    translation_col: Annotated[str, "column for the translation"] = "translation"
    score_col: Annotated[str, "column for the mean log-probability of the translation's tokens"] = "score"
    cut_col: Annotated[
        str | None, "column for whether max_new_tokens cut the translation, or that of a part; none by default"
    ] = None
    error_col: Annotated[str, "column for the reason why a text has no translation"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_different(
            [self.translation_col, self.score_col, self.error_col, *([self.cut_col] if self.cut_col else [])]
        )
        for name, least in (("beams", 1), ("no_repeat_ngram", 0), ("max_new_tokens", 1), ("max_chars", 1)):
            if getattr(self, name) < least:
                raise SettingError(f"{name}={getattr(self, name)} must be at least {least}")
        if self.max_tokens < 8:
            raise SettingError(f"max_tokens={self.max_tokens} must be at least 8")
        if self.early_stopping not in EARLY_STOPPING:
            raise SettingError(f"early_stopping={self.early_stopping!r} must be one of {', '.join(EARLY_STOPPING)}")
