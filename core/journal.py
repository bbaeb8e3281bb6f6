"""How a training goes, a line of JSON each: rank 0 writes, the driver and the report read. Knows no Spark, no torch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.errors import StorageError, one_line

if TYPE_CHECKING:
    from brightspark.core.curves import Curves

EVERY_SECONDS = 1.0  # at most one line of steps


class Journal:
    """Appends to `metrics.jsonl`; a rank that does not write has none.

    Lines of steps hold `epoch, step, steps, loss, rate, samples_per_second, seconds_left`, those of epochs `epoch` and
    the validation's metrics. A training that goes on from a snapshot writes some steps again: the later line counts.
    """

    def __init__(self, file: Path, *, steps: int, writes: bool, curves: Curves | None = None) -> None:
        self.file, self.steps, self.writes, self.curves = file, steps, writes, curves
        self._began = time.monotonic()
        self._first: tuple[float, int] | None = None  # the end of the first step: when, and its number
        self._last = -math.inf
        self._samples = 0
        if writes and _ends_in_a_line(file):
            self._append("\n")

    def step(self, *, epoch: int, step: int, loss: float, rate: float, samples: int) -> None:
        """Notes a step, and writes a line where the last one is a second old or this is the last step."""
        now = time.monotonic()
        began, first = self._first or (self._began, step - 1)
        self._samples += samples
        if now - self._last < EVERY_SECONDS and step < self.steps:
            return
        self._last = now
        seconds = max(now - began, 1e-9)
        self._write(
            kind="step",
            epoch=epoch,
            step=step,
            steps=self.steps,
            loss=loss,
            rate=rate,
            samples_per_second=self._samples / seconds,
            seconds_left=seconds / (step - first) * (self.steps - step),
        )
        if self._first is None:  # what comes before the end of the first step is for the most part making ready
            self._first, self._samples = (now, step), 0

    def note(self, kind: str, **facts: Any) -> None:
        """Writes a line of another kind: `started`, `epoch`, `snapshot`."""
        self._write(kind=kind, **facts)

    def _write(self, **facts: Any) -> None:
        if self.writes:
            self._append(json.dumps({"time": time.time(), **facts}) + "\n")
        if self.curves is not None:
            self.curves.write(facts)

    def _append(self, text: str) -> None:
        try:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StorageError(f"{self.file} cannot be written ({one_line(error)})") from error


def _ends_in_a_line(file: Path) -> bool:
    """Whether the last line lacks its end, as a process leaves it that was killed, or found the disk full."""
    if not file.exists() or not file.stat().st_size:
        return False
    with file.open("rb") as opened:
        opened.seek(-1, 2)
        return opened.read() != b"\n"


class JournalReader:
    """Reads a journal as it grows."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._read = 0  # bytes

    def new_lines(self) -> Iterator[Mapping[str, Any]]:
        """The lines since the last call; one that is being written is left for the next, half a line is passed over."""
        if not self.file.exists():
            return
        with self.file.open("rb") as opened:
            opened.seek(self._read)
            for line in opened:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def read_journal(file: Path) -> Iterator[Mapping[str, Any]]:
    """All lines of a journal, in order."""
    return JournalReader(file).new_lines()
