"""The settings of models over texts. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.classifier_settings import ClassifierSettings
from brightspark.core.errors import SettingError
from brightspark.core.featurizer_settings import VectorSettings
from brightspark.core.settings import ScoringSettings

POOLING = ("mean", "max", "first")


@dataclass(frozen=True, kw_only=True)
class WindowSettings:
    """How texts are found and cut into what a network can take."""

    text_col: Annotated[str, "column of texts"] = "text"
    max_tokens: Annotated[
        int | None, "tokens of a window, the special ones included; by default as many as the network was made for"
    ] = None
    overlap: Annotated[int, "tokens that a window of a long text shares with the one before it"] = 32
    max_chars: Annotated[int, "a text with more characters is an error, before it is cut into tokens"] = 1_000_000


def check_windows(settings: WindowSettings) -> None:
    """Raises SettingError for windows that cannot be."""
    if settings.max_tokens is not None and settings.max_tokens < 8:
        raise SettingError(f"max_tokens={settings.max_tokens} must be at least 8, or None for the network's own")
    if settings.overlap < 0:
        raise SettingError(f"overlap={settings.overlap} must not be negative")
    if settings.max_tokens is not None and settings.overlap > settings.max_tokens // 2:
        raise SettingError(f"overlap={settings.overlap} must be at most half of max_tokens={settings.max_tokens}")
    if settings.max_chars < 1:
        raise SettingError(f"max_chars={settings.max_chars} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ModelSettings(WindowSettings, ScoringSettings):
    """What any model over texts can be told."""

    batch_size: Annotated[int, "tokens in a batch, padding included"] = 2048

    def __post_init__(self) -> None:
        check_windows(self)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class TextSettings(ModelSettings, ClassifierSettings):
    """How a TextClassifierModel reads texts and words its answers."""

    pooling: Annotated[
        str,
        "how a long text's windows become one answer: mean of the network's outputs, weighted by their tokens; max of "
        "each label's; or first, the first window alone",
    ] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in POOLING:
            raise SettingError(f"pooling={self.pooling!r} must be one of {', '.join(POOLING)}")


@dataclass(frozen=True, kw_only=True)
class ZeroShotSettings(ModelSettings, ClassifierSettings):
    """How a ZeroShotClassifierModel reads texts, asks and words its answers."""

    candidate_labels: Annotated[
        tuple[str, ...], "what a text may be about, in words; at least two, or one with multi_label"
    ] = ()
    hypothesis: Annotated[str, "the sentence that a text may entail; {} stands for the label"] = "This example is {}."

    def __post_init__(self) -> None:
        super().__post_init__()
        named = list(self.candidate_labels)
        if len(named) < (1 if self.multi_label else 2):
            raise SettingError(f"candidate_labels={named} are too few: name two at least, or one with multi_label")
        if len(set(named)) < len(named) or not all(label.strip() for label in named):
            raise SettingError(f"candidate_labels={named} must be different, and none empty")
        if self.hypothesis.count("{}") != 1 or set(self.hypothesis.replace("{}", "")) & set("{}"):
            raise SettingError(f"hypothesis={self.hypothesis!r} must have {{}} once, where the label goes")


@dataclass(frozen=True, kw_only=True)
class EmbedderSettings(ModelSettings, VectorSettings):
    """How a TextEmbedder reads texts and names its answers."""

    normalize: Annotated[bool, "scale each vector to length 1, so that a dot product is the cosine"] = True
