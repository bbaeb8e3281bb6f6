"""What a contender is asked, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

Settings: TypeAlias = Mapping[str, Any]
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Images to score with a model, on so many cores."""

    images: Path
    """Folder of JPEGs: those that are timed."""
    warm_up: Path
    """Folder of a few other JPEGs: scored before, and their answers compared between contenders."""
    model: Path
    """Folder in timm's `local-dir:` layout."""
    cores: int


@dataclass(kw_only=True)
class Timing:
    """Seconds by phase, and the answers to the warm-up images."""

    start: float
    """Imports, and starting the session or the processes."""
    load: float
    """Loading the model, and the first use: the warm-up images."""
    score: float
    """From the list of files to the end of a no-op write, or to all answers in memory, dropped."""
    answers: dict[str, int] = field(default_factory=dict)
    """Class number by file name, of the warm-up images."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A way to score images, and the settings to choose from: each is tried once, the fastest is kept."""

    run: Callable[[Job, Settings], Timing]
    choices: Sequence[Settings]


class Stopwatch:
    """Seconds since it was last asked."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap, or since the beginning."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds


def image_paths(folder: Path) -> list[str]:
    """The JPEGs of a folder, by name."""
    return sorted(str(path) for path in folder.glob("*.jpg"))


def in_batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of `size` items; the last may be shorter.

    >>> list(in_batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
