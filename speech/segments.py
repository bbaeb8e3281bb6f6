"""Cuts long recordings at their pauses into what a network hears at a time, as a stream. Knows neither torch nor Spark.

A window that ends in the middle of a word loses it, or hears it twice. So each one ends in the quietest moment of its
second half, which in speech is a pause, and the next begins there: no overlap, nothing to make agree afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FRAME_SECONDS = 0.02
PAUSE_SECONDS = 0.3  # the loudness of so much around a moment says how quiet it is
SILENCE_DB = -65.0  # below full scale: silence, and a microphone that idles


class Segment(NamedTuple):
    """A part of a recording."""

    start: float
    """in seconds from the recording's beginning"""
    samples: Samples


def segments(blocks: Iterable[Samples], rate: int, *, seconds: float) -> Iterator[Segment]:
    """A recording's samples, which come in blocks of any length, as segments of at most `seconds`, end to end.

    One that fits is left whole. Holds `seconds` and one block at a time.

    >>> [len(segment.samples) for segment in segments([np.ones(250, np.float32)], 100, seconds=3)]
    [250]
    """
    most, held, start = int(seconds * rate), np.empty(0, np.float32), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > most:
            cut = quietest(held[:most], rate, after=most // 2)
            yield Segment(start / rate, held[:cut])
            held, start = held[cut:], start + cut
    if len(held):
        yield Segment(start / rate, held)


def quietest(samples: Samples, rate: int, *, after: int) -> int:
    """The sample in the quietest moment behind the sample `after`; the last one, where several are as quiet.

    >>> tone = np.sin(np.arange(32_000, dtype=np.float32))
    >>> tone[20_000:26_000] = 0
    >>> 20_000 < quietest(tone, 16_000, after=16_000) < 26_000
    True
    """
    power = frame_power(samples, rate)
    width = round(PAUSE_SECONDS / FRAME_SECONDS)
    around = np.convolve(power, np.ones(width) / width, mode="same")
    frame = _frame(rate)
    first, last = after // frame, len(power) - width // 2  # what follows the last ones is not known
    chosen = around[first:last][::-1]
    return int((last - 1 - int(chosen.argmin()) + 0.5) * frame)


def is_silent(samples: Samples, rate: int) -> bool:
    """Whether there is nothing to hear: no 20 ms of it are louder than SILENCE_DB."""
    return bool(frame_power(samples, rate).max(initial=0.0) <= 10 ** (SILENCE_DB / 10))


def frame_power(samples: Samples, rate: int) -> NDArray[np.float64]:
    """The mean square of each 20 ms, less their mean: a constant voltage cannot be heard."""
    frame = _frame(rate)
    whole = len(samples) // frame * frame
    rows = [samples[:whole].reshape(-1, frame)] + ([samples[whole:][None]] if whole < len(samples) else [])
    return np.concatenate([row.astype(np.float64).var(axis=1) for row in rows])


def _frame(rate: int) -> int:
    return max(1, int(FRAME_SECONDS * rate))
