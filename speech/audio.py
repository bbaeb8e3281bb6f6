"""A record's recording as a network hears it: mono, at one rate, block by block. Knows torch, no Spark."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from brightspark.core.errors import InputError
from brightspark.core.predictor import Record, Work
from brightspark.speech.resampling import ratio
from brightspark.speech.settings import AudioSettings
from brightspark.speech.sound import Sound, open_sound

Samples = NDArray[np.float32]

RATE = 16_000  # samples a second, which speech networks are made for
BLOCK_SAMPLES = 1 << 19  # of all channels, decoded at a time: 2 MB


class Recording:
    """An open recording. Not for several threads at once."""

    def __init__(self, sound: Sound, settings: AudioSettings) -> None:
        """Raises InputError for a recording that is longer, or has another rate or more channels, than is allowed."""
        self.sound = sound
        self._most_seconds = settings.max_hours * 3600
        if not settings.min_rate <= sound.rate <= settings.max_rate:
            raise self.sound.error(
                f"it has {sound.rate:,} samples a second, and from {settings.min_rate:,} (min_rate) to "
                f"{settings.max_rate:,} (max_rate) are allowed"
            )
        if sound.channels > settings.max_channels:
            raise self.sound.error(
                f"it has {sound.channels} channels, more than the {settings.max_channels} of max_channels"
            )
        self._check_length(sound.seconds or 0.0)

    def blocks(self, rate: int = RATE, *, start: float = 0.0, seconds: float | None = None) -> Iterator[Samples]:
        """Samples at `rate`, the mean of all channels, from `start` on for so many seconds or to the end.

        The blocks are of any length; put together they are what one gets who decodes and resamples the whole recording
        and cuts that. Memory is bounded, whatever the length. Values above 1, of files that hold such, stay.

        Raises InputError, also midway, for samples that are not numbers, for damage, and where it is cut.
        """
        for value, name in ((start, "start"), (0.0 if seconds is None else seconds, "seconds")):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name}={value} must be a number of seconds from 0")
        way = ratio(self.sound.rate, rate)
        first = round(start * rate)
        left = None if seconds is None else round((start + seconds) * rate) - first
        # A whole period before which all that has a part in the first sample is read, too.
        begin = max(0, first // way.wanted_period * way.period - way.margin)
        surplus = first - begin // way.period * way.wanted_period
        most = (
            None if left is None else -(-(surplus + left) * way.period // way.wanted_period) + way.margin + way.period
        )
        for block in way.blocks(self._mono(begin, most)):
            block, surplus = block[surplus:], max(0, surplus - len(block))
            if left is not None:
                block = block[:left]
                left -= len(block)
            if len(block):
                yield block
            if left == 0:
                return

    def read(self, rate: int = RATE, *, start: float = 0.0, seconds: float | None = None) -> Samples:
        """The same in one piece."""
        return np.concatenate([np.empty(0, np.float32), *self.blocks(rate, start=start, seconds=seconds)])

    def _mono(self, frame: int, frames: int | None) -> Iterator[Samples]:
        """The mean of all channels in the recording's own rate, from a frame on."""
        self.sound.go(frame)
        at_once = max(1, BLOCK_SAMPLES // self.sound.channels)
        while frames is None or frames > 0:
            block = self.sound.read(at_once if frames is None else min(at_once, frames))
            if not len(block):
                return
            mono = block[:, 0] if self.sound.channels == 1 else block.mean(axis=1, dtype=np.float32)
            if not np.isfinite(mono).all():
                raise self.sound.error("it holds samples that are not numbers")
            frame += len(block)
            self._check_length(frame / self.sound.rate)
            frames = None if frames is None else frames - len(block)
            yield mono

    def _check_length(self, seconds: float) -> None:
        if seconds > self._most_seconds:
            raise self.sound.error(
                f"it is longer than {self._most_seconds / 3600:g} h (max_hours): {seconds / 3600:.2f} h or more"
            )


@contextmanager
def open_audio(record: Record, work: Work, settings: AudioSettings) -> Iterator[Recording]:
    """The recording that a record names: its first column holds a path or bytes.

    It is read by range. Raises InputError for what is no recording, StorageError for what cannot be opened.
    """
    source = next(iter(record.values()))
    with open_sound(source, work.open, allow_cut=settings.allow_cut) as sound:
        yield Recording(sound, settings)
