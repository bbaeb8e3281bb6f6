"""The settings of models over recordings. Knows neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.errors import SettingError
from brightspark.core.settings import ScoringSettings

MOST_CHANNELS = 1024  # that libsndfile reads


@dataclass(frozen=True, kw_only=True)
class AudioSettings(ScoringSettings):
    """How recordings are found and read, whatever becomes of them.

    They are read by range, so that `max_file_bytes` does not bound them: `max_hours` does.
    """

    input_col: Annotated[
        str | None,
        "column of encoded recordings (binary) or of paths (string); by default content, or path beside a text",
    ] = None
    max_hours: Annotated[
        float, "a longer recording is an error, found before it is decoded where its header says so"
    ] = 12.0
    min_rate: Annotated[int, "samples a second, below which a recording is an error"] = 1_000
    max_rate: Annotated[int, "samples a second, above which a recording is an error"] = 384_000
    max_channels: Annotated[int, "a recording with more channels is an error"] = 64
    allow_cut: Annotated[
        bool, "take what there is of a recording that ends before its header says, or is damaged; else it is an error"
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.max_hours < float("inf"):
            raise SettingError(f"max_hours={self.max_hours} must be a number of hours above 0")
        if not 1 <= self.min_rate <= self.max_rate:
            raise SettingError(f"min_rate={self.min_rate} must be between 1 and max_rate={self.max_rate}")
        if not 1 <= self.max_channels <= MOST_CHANNELS:
            raise SettingError(f"max_channels={self.max_channels} must be between 1 and {MOST_CHANNELS}")
