from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from brightspark.speech.segments import is_silent, quietest, segments

RATE = 1_000


def _noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * RATE)).astype(np.float32)


@given(st.lists(st.integers(1, 4_000), max_size=12), st.floats(1, 5))
@settings(deadline=None, max_examples=50)
def test_loses_and_doubles_no_sample(sizes: list[int], seconds: float) -> None:
    sound = _noise(sum(sizes) / RATE)
    blocks = np.split(sound, np.cumsum(sizes)[:-1]) if sizes else []
    found = list(segments(blocks, RATE, seconds=seconds))
    assert all(len(segment.samples) <= seconds * RATE for segment in found)
    np.testing.assert_array_equal(np.concatenate([np.empty(0, np.float32), *(one.samples for one in found)]), sound)
    starts = np.cumsum([0, *(len(segment.samples) for segment in found)])[:-1]
    np.testing.assert_allclose([segment.start for segment in found], starts / RATE)


def test_cuts_where_nobody_speaks() -> None:
    spoken = [_noise(2.3, seed) for seed in range(12)]
    pause = np.zeros(RATE // 2, np.float32)
    sound = np.concatenate([part for one in spoken for part in (one, pause)])
    cuts = [segment.start for segment in segments([sound], RATE, seconds=6)][1:]
    assert len(cuts) > 3
    for cut in cuts:
        assert 2.3 < cut % 2.8 < 2.8, f"cut at {cut} s, in the middle of what is said"


def test_takes_the_last_of_the_quietest_moments() -> None:
    sound = _noise(10)
    for start in (2, 6, 8):  # the first one is before the half
        sound[start * RATE : start * RATE + 600] = 0
    assert 8 * RATE < quietest(sound, RATE, after=5 * RATE) < 8.6 * RATE


def test_holds_one_segment_and_one_block_of_hours() -> None:
    taken = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal taken
        for number in range(3_600):
            taken = number
            yield _noise(1, number)

    for segment in segments(blocks(), RATE, seconds=30):
        assert taken - segment.start < 62


def test_knows_silence_from_what_is_quiet() -> None:
    assert is_silent(np.zeros(RATE, np.float32), RATE)
    assert is_silent(np.full(RATE, 0.3, np.float32), RATE), "a constant voltage is no sound"
    assert is_silent(_noise(1) * 1e-4, RATE)
    assert not is_silent(_noise(1) * 1e-2, RATE)
    click = np.zeros(RATE, np.float32)
    click[500:520] = _noise(0.02)
    assert not is_silent(click, RATE)
