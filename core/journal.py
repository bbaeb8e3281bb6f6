"""How a training goes, a line of JSON each: rank 0 writes, the driver and the report read. Knows no Spark, no torch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

EVERY_SECONDS = 1.0  # at most one line of steps


class Journal:
    """Appends to `metrics.jsonl`; a rank that does not write has none.

    Lines of steps hold `epoch, step, steps, loss, rate, samples_per_second, seconds_left`, those of epochs `epoch` and
    the validation's metrics. A training that goes on from a snapshot writes some steps again: the later line counts.
    """

    def __init__(self, file: Path, *, steps: int, writes: bool) -> None:
        self.file, self.steps, self.writes = file, steps, writes
        self._began = time.monotonic()
        self._first: int | None = None
        self._last = -math.inf
        self._samples = 0

    def step(self, *, epoch: int, step: int, loss: float, rate: float, samples: int) -> None:
        """Notes a step, and writes a line where the last one is a second old or this is the last step."""
        self._first = step - 1 if self._first is None else self._first
        self._samples += samples
        now = time.monotonic()
        if now - self._last < EVERY_SECONDS and step < self.steps:
            return
        self._last = now
        seconds = max(now - self._began, 1e-9)
        self._write(
            kind="step",
            epoch=epoch,
            step=step,
            steps=self.steps,
            loss=loss,
            rate=rate,
            samples_per_second=self._samples / seconds,
            seconds_left=seconds / (step - self._first) * (self.steps - step),
        )

    def note(self, kind: str, **facts: Any) -> None:
        """Writes a line of another kind: `resumed`, `epoch`, `snapshot`."""
        self._write(kind=kind, **facts)

    def _write(self, **facts: Any) -> None:
        if self.writes:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": time.time(), **facts}) + "\n")


def read_journal(file: Path) -> Iterator[Mapping[str, Any]]:
    """The lines, in order; one that is being written is left for the next time."""
    if not file.exists():
        return
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
