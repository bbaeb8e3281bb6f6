"""How texts are learned from: what a TextClassifier can be told. Knows neither torch nor Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from brightspark.core.errors import SettingError
from brightspark.core.fit_settings import ClassifierFitSettings
from brightspark.nlp.lora_settings import LORA_RATE, LoraSettings, check_lora
from brightspark.nlp.settings import POOLING, WindowSettings, check_windows

SENTIMENT: Mapping[str, Any] = {"training_tokens": 128, "monitor": "balanced_accuracy"}
"""Defaults for sentiment: posts and reviews are short, or say it early, and one feeling is often far more frequent."""


BASE_RATE, BASE_WIDTH, HIGHEST_RATE = 1e-4, 768, 3e-4


def usual_rate(width: int | None, lora_rank: int | None = None) -> float:
    """The learning rate for an encoder whose hidden states are so wide, where none is set.

    The inverse of the width goes through the rates that ELECTRA's small and base networks were fine-tuned with (3e-4 at
    256, 1e-4 at 768; Clark et al. 2020, arXiv:2003.10555, appendix B), as Adam's should (Yang et al. 2022,
    arXiv:2203.03466). Small matrices beside the network's own want more: `LORA_RATE`.

    >>> usual_rate(384)
    0.0002
    """
    if lora_rank is not None:
        return LORA_RATE
    return min(HIGHEST_RATE, BASE_RATE * (BASE_WIDTH / (width or BASE_WIDTH)))


@dataclass(frozen=True, kw_only=True)
class TextFitSettings(WindowSettings, LoraSettings, ClassifierFitSettings):
    """What a TextClassifier can be told."""

    checkpoint: Annotated[
        str, "where training starts: a repository of the hub, a folder as transformers has it, an artifact"
    ] = ""
    training_tokens: Annotated[
        int, "tokens of a text that training sees: its first ones; scoring sees all, window by window"
    ] = 256
    pooling: Annotated[str, "the model's: mean, max or first; how a long text's windows become one answer"] = "mean"
    epochs: Annotated[int, "how often each text is seen"] = 3
    batch_size: Annotated[int, "texts in a step, over all ranks and all parts of an accumulated batch"] = 32
    learning_rate: Annotated[
        float | None, "the highest rate, reached after the warm-up; by default the narrower the network the higher"
    ] = None
    layer_decay: Annotated[float, "each layer's rate is that of the layer above it times this"] = 0.9
    weight_decay: Annotated[float, "of weights; biases and norms have none"] = 0.01
    warmup: Annotated[float, "share of all steps in which the rate rises from 0; then it falls as a cosine"] = 0.1
    dropout: Annotated[float | None, "of the network's layers and of the classifier; by default the checkpoint's"] = (
        None
    )
    label_smoothing: Annotated[float, "share of the truth that is spread over all labels"] = 0.0
    group_by_length: Annotated[
        bool, "batches of texts of like length, which pad little and train faster, but show a batch more of the same"
    ] = False

    def __post_init__(self) -> None:
        check_windows(self)
        check_lora(self)
        super().__post_init__()
        if self.lora_rank is not None and self.trained_blocks is not None:
            raise SettingError(
                f"lora_rank={self.lora_rank} and trained_blocks={self.trained_blocks} say what learns: leave one out"
            )
        if self.training_tokens < 8:
            raise SettingError(f"training_tokens={self.training_tokens} must be at least 8")
        if self.pooling not in POOLING:
            raise SettingError(f"pooling={self.pooling!r} must be one of {', '.join(POOLING)}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise SettingError(f"dropout={self.dropout} is a share: from 0 to below 1")
