"""What the headers of recordings say, read by range and without decoding. Knows neither torch nor Spark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.core.settings import ScoringSettings
from brightspark.speech.sound import open_sound

FACTS = pa.struct(
    [
        ("rate", pa.int32()),
        ("channels", pa.int32()),
        ("duration", pa.float64()),
        ("format", pa.string()),
        ("encoding", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class FactsSettings(ScoringSettings):
    """How headers are read."""

    column: str = "path"
    """A column of paths (string) or of encoded recordings (binary)."""

    device: str = "cpu"
    split_threads: int = 8
    """Headers read at the same time by a task: from an object store most of the time is waiting."""


def load(folder: Path, device: str, settings: FactsSettings) -> Predictor:
    """The engine's predictor that reads headers, with no network in it."""

    def split(record: Record, work: Work) -> Iterator[Answer]:
        with open_sound(record[settings.column], work.open) as sound:
            yield {
                "rate": sound.rate,
                "channels": sound.channels,
                "duration": sound.seconds,
                "format": sound.format,
                "encoding": sound.encoding,
            }

    return Predictor(
        columns=(settings.column,),
        answer_type=FACTS,
        split=split,
        prepare=list,
        predict=list,
        batch_cost=settings.batch_size,
    )
