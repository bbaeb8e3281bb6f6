"""How translations are learned: what a Translator can be told. Knows neither torch nor Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from brightspark.core.classifier_settings import check_different
from brightspark.core.errors import SettingError, did_you_mean
from brightspark.core.fit_settings import FitSettings
from brightspark.nlp.lora_settings import LoraSettings, check_lora

SCRATCH = "scratch"  # in place of a checkpoint's name
MONITORS = ("loss", "accuracy")
LEAST_VOCABULARY = 300  # pieces: the 256 bytes are among them

RATE = 1e-4  # the learning rate of a whole checkpoint, where none is set
FROM_SCRATCH: Mapping[str, Any] = {"epochs": 20, "learning_rate": 1e-3, "warmup": 0.1, "batch_size": 32}
"""What a Translator from scratch has for defaults, where fine-tuning has others."""


@dataclass(frozen=True, kw_only=True)
class TranslationFitSettings(LoraSettings, FitSettings):
    """What a Translator can be told."""

    checkpoint: Annotated[
        str,
        "where training starts: a repository of the hub, a folder as transformers has it, an artifact; or `scratch`, "
        "for a small Marian with a vocabulary of its own",
    ] = ""
    text_col: Annotated[str, "column of texts"] = "text"
    target_col: Annotated[str, "column of their translations"] = "target"
    source_language: Annotated[str | None, "as the checkpoint names it: eng_Latn (NLLB), en_XX (mBART), …"] = None
    target_language: Annotated[str | None, "likewise"] = None
    training_tokens: Annotated[int, "tokens of a text and of its translation that training sees: the first ones"] = 128
    max_chars: Annotated[int, "a text or translation with more characters is an error"] = 100_000
    layers: Annotated[int, "from scratch: of the encoder, and of the decoder"] = 3
    width: Annotated[int, "from scratch: of a layer; a multiple of 32"] = 256
    vocabulary: Annotated[int, "from scratch: pieces that both languages share; fewer where the texts have fewer"] = (
        8000
    )
    epochs: Annotated[int, "how often each text is seen; 20 from scratch"] = 3
    batch_size: Annotated[int, "texts in a step, over all ranks and all parts of an accumulated batch"] = 32
    learning_rate: Annotated[
        float | None,
        "the highest rate, reached after the warm-up; by default 1e-4; 1e-3 from scratch and with adapters",
    ] = None
    weight_decay: Annotated[float, "of weights; biases and norms have none"] = 0.01
    dropout: Annotated[float | None, "of the network's layers; by default the checkpoint's, 0.1 from scratch"] = None
    label_smoothing: Annotated[float, "share of the truth that is spread over all tokens"] = 0.1
    group_by_length: Annotated[
        bool, "batches of texts of like length, which pad little and train faster, but show a batch more of the same"
    ] = False
    translation_col: Annotated[str, "the model's column for the translation"] = "translation"
    score_col: Annotated[str, "the model's column for the mean log-probability of the translation's tokens"] = "score"
    error_col: Annotated[str, "the model's column for the reason why a text has no translation"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lora(self)
        if self.lora_rank is not None and self.checkpoint == SCRATCH:
            raise SettingError(
                f"lora_rank={self.lora_rank} leaves a checkpoint's weights as they are, and {SCRATCH!r} has none: "
                "leave lora_rank out"
            )
        check_different([self.translation_col, self.score_col, self.error_col])
        if self.monitor not in MONITORS:
            raise SettingError(f"monitor={self.monitor!r} is not measured; {did_you_mean(self.monitor, MONITORS)}")
        if self.text_col == self.target_col:
            raise SettingError(f"text_col and target_col are both {self.text_col!r}: a text would be its translation")
        least = {"training_tokens": 8, "max_chars": 1, "layers": 1, "vocabulary": LEAST_VOCABULARY}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise SettingError(f"{name}={getattr(self, name)} must be at least {lowest}")
        if self.width < 32 or self.width % 32:
            raise SettingError(f"width={self.width} must be a multiple of 32")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise SettingError(f"dropout={self.dropout} is a share: from 0 to below 1")
        if not 0 <= self.label_smoothing < 1:
            raise SettingError(f"label_smoothing={self.label_smoothing} is a share: from 0 to below 1")
