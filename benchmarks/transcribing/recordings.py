"""The prompts of five words and more, alone and as one long recording."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

from brightspark import samples
from brightspark.samples import cache

NUMBER, LEAST_WORDS, MOST_SECONDS, LONG_SECONDS, PAUSE_SECONDS = 120, 5, 30.0, 600.0, 0.7


def _prompts() -> list[tuple[str, str]]:
    """Paths and what is said, of those of five words and more, in the order of their names."""
    folder = samples.prompts()
    with (folder / "prompts.csv").open(encoding="utf-8", newline="") as file:
        rows = [(str(folder / row["path"]), row["text"]) for row in csv.DictReader(file)]
    return [row for row in rows if len(row[1].split()) >= LEAST_WORDS]


def short() -> list[tuple[str, str]]:
    """As many as are asked for, from all over the list."""
    fit = [row for row in _prompts() if soundfile.info(row[0]).duration <= MOST_SECONDS]
    return [fit[number * len(fit) // NUMBER] for number in range(NUMBER)]


def long() -> list[tuple[str, str]]:
    """One recording of ten minutes, and all that is said in it."""
    parts: list[np.ndarray] = []
    said: list[str] = []
    rate, seconds = 8_000, 0.0
    for path, text in _prompts():
        sound, rate = soundfile.read(path, dtype="float32")
        parts += [sound, np.zeros(int(PAUSE_SECONDS * rate), np.float32)]
        said.append(text)
        seconds += len(sound) / rate + PAUSE_SECONDS
        if seconds > LONG_SECONDS:
            break
    joined = np.concatenate(parts)

    def write(made: Path) -> None:
        made.mkdir(parents=True)
        soundfile.write(made / "long.wav", joined, rate)

    return [(str(cache.made(f"bench-long-{len(joined)}", write) / "long.wav"), " ".join(said))]


RECORDINGS = {"short": short, "long": long}
