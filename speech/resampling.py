"""Samples at another rate, block by block, the same as in one piece. Knows torch, no Spark.

torchaudio's windowed sinc (`torchaudio.functional.resample` with its defaults), after Julius Smith's "Digital Audio
Resampling". Its kernels hold a row for each phase of the shorter of the two rates' periods, which two rates that share
no divisor (44,101 and 16,000) make gigabytes: then the same sum is taken sample by sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torchaudio.transforms import Resample

Samples = NDArray[np.float32]

ZEROS = 6  # of the sinc on each side: torchaudio's lowpass_filter_width
ROLLOFF = 0.99  # of the lower rate's band that is kept
MOST_KERNEL = 1 << 20  # numbers in a kernel, above which there is none
AT_ONCE = 1 << 11  # samples that are summed up without a kernel
RATIOS_HELD = 16


class Ratio:
    """From one rate to another: periods, and how far the filter reaches. Several threads may use one."""

    def __init__(self, rate: int, wanted: int) -> None:
        common = math.gcd(rate, wanted)
        self.period, self.wanted_period = rate // common, wanted // common
        """So many samples become so many."""
        self.reach = math.ceil(ZEROS * self.period / (min(self.period, self.wanted_period) * ROLLOFF))
        """Samples before and after that have a part in one."""
        self.margin = math.ceil(self.reach / self.period) * self.period
        """The same in whole periods."""
        self._convert = self._kernel(rate, wanted)

    def whole(self, samples: Samples) -> Samples:
        """All samples at the wanted rate; around them is silence."""
        return self._convert(samples)

    def blocks(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """What `whole` gives of all blocks, with no more than a block and its surroundings in memory."""
        held, start, done = np.empty(0, np.float32), 0, 0  # `start` of what is held, and what is done, in samples
        for block in blocks:
            held = np.concatenate([held, block])
            ready = (start + len(held) - self.reach - self.period) // self.period * self.period
            if ready > done:
                yield self._between(held, done - start, ready - start)
                keep = max(0, ready - self.margin)
                held, start, done = held[keep - start :], keep, ready
        if start + len(held) > done:
            yield self._between(held, done - start, None)

    def _between(self, held: Samples, first: int, last: int | None) -> Samples:
        """The part from `first` to `last`, which are at whole periods; what is around it has its part in it."""
        end = None if last is None else last + self.reach + self.period
        converted = self._convert(held[:end])
        return converted[self._wanted(first) : None if last is None else self._wanted(last)]

    def _wanted(self, samples: int) -> int:
        return samples // self.period * self.wanted_period

    def _kernel(self, rate: int, wanted: int) -> Callable[[Samples], Samples]:
        if self.period == self.wanted_period:
            return lambda samples: samples
        if self.wanted_period * (self.period + 2 * self.reach) > MOST_KERNEL:
            return self._summed
        # Made in float64: in float32 the phases of long periods are wrong by 0.0001.
        resample = Resample(rate, wanted, lowpass_filter_width=ZEROS, rolloff=ROLLOFF, dtype=torch.float64).float()

        def convert(samples: Samples) -> Samples:
            with torch.inference_mode():
                found: Samples = resample(torch.from_numpy(samples)).numpy()
            return found

        return convert

    def _summed(self, samples: Samples) -> Samples:
        """Without a kernel: the filter's values are computed where they are needed."""
        count = -(-len(samples) * self.wanted_period // self.period)
        padded = np.pad(samples, (self.reach, self.reach + 1))
        parts = [
            self._sums(padded, np.arange(first, min(first + AT_ONCE, count), dtype=np.int64))
            for first in range(0, count, AT_ONCE)
        ]
        return np.concatenate(parts) if parts else samples

    def _sums(self, padded: Samples, numbers: NDArray[np.int64]) -> Samples:
        before, rest = np.divmod(numbers * self.period, self.wanted_period)
        around = np.arange(2 * self.reach + 2)
        band = ROLLOFF * min(1, self.wanted_period / self.period)  # of the samples' own
        away = (around - self.reach - (rest / self.wanted_period)[:, None]) * band
        away = away.clip(-ZEROS, ZEROS)
        weights = np.sinc(away) * np.cos(away * (np.pi / ZEROS / 2)) ** 2 * band
        found: Samples = np.einsum("ij,ij->i", padded[before[:, None] + around], weights).astype(np.float32)
        return found


@lru_cache(RATIOS_HELD)
def ratio(rate: int, wanted: int) -> Ratio:
    """The way from a rate to another one; made once."""
    return Ratio(rate, wanted)
