"""What a contender is asked, and what it answers; `run` calls one in a process of its own."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class Job:
    """Texts to score with a network."""

    texts: Path
    """Folder of Parquet files with the columns id and text: those that are timed."""
    warm_up: Path
    """A few other texts, likewise: scored before, and their answers compared between contenders."""
    model: Path
    """Folder as transformers has it."""
    bfloat16: bool
    device: str = "cpu"
    budget: int = 2048
    """Tokens in a batch, padding included, for who sorts by length: brightspark's default."""

    def to_json(self) -> dict[str, Any]:
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Job:
        return cls(**{**given, **{name: Path(given[name]) for name in ("texts", "warm_up", "model")}})

    @property
    def precision(self) -> str:
        return "bfloat16" if self.bfloat16 else "float32"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a contender did."""

    texts: int
    tokens: int = 0
    """Where it counts them; padding left out."""
    seconds: float
    """From the Parquet files to answers that are dropped, once warm."""
    answers: Mapping[int, str] = field(default_factory=dict)
    """A label or a translation by the text's id."""
    notes: Mapping[str, float] = field(default_factory=dict)
    """What else it says of itself: of brightspark the engine's numbers."""


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._began


def run(contender: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """What the contender `module:function` did, as JSON: what `apart.call` calls."""
    module, _, name = contender.partition(":")
    done: Done = getattr(importlib.import_module(module), name)(Job.from_json(job))
    return asdict(done)
