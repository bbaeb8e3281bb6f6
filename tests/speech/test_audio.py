"""What is heard of recordings: every format, rate and width, by ranges, in bounded memory."""

from __future__ import annotations

import io
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
import torch
import torchaudio

from brightspark.core.errors import InputError, SettingError, StorageError
from brightspark.core.feed import Room
from brightspark.core.predictor import Work
from brightspark.speech.audio import BLOCK_SAMPLES, open_audio
from brightspark.speech.resampling import MOST_KERNEL, Ratio
from brightspark.speech.settings import AudioSettings
from brightspark.speech.sound import Sound
from tests.speech.sounds import (
    EXACT,
    FORMATS,
    RATE,
    WORK,
    chirp,
    encoded,
    heard,
    mp3,
    of_unknown_length,
    plainly,
    without_length,
)

SOUND = encoded(chirp(3))
MP3 = mp3(chirp(3))
FLAC = encoded(chirp(3), format="FLAC")


class TestWhatIsHeard:
    @pytest.mark.parametrize(("format", "subtype"), FORMATS)
    def test_every_format(self, format: str, subtype: str) -> None:
        content = encoded(chirp(3, 8_000), 8_000, format, subtype)
        found = heard(content)
        np.testing.assert_allclose(found, heard(content)[: len(found)])
        if format != "MP3" and subtype != "GSM610":  # which soundfile alone cannot read, or not block by block
            np.testing.assert_allclose(found, plainly(content), atol=EXACT)
        sought = heard(content, start=1.2345, seconds=1)
        np.testing.assert_allclose(sought, found[round(1.2345 * RATE) :][:RATE], atol=EXACT)

    @pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 22_050, 44_100, 44_101, 48_000, 96_000, 192_000, 384_000])
    def test_every_rate(self, rate: int) -> None:
        content = encoded(chirp(1, rate), rate)
        found = heard(content)
        assert len(found) == RATE
        if rate != 44_101:  # for which torchaudio takes gigabytes
            np.testing.assert_allclose(found, plainly(content), atol=EXACT)

    @pytest.mark.parametrize("wanted", [8_000, 16_000, 22_050])
    def test_another_rate_on_request(self, wanted: int) -> None:
        content = encoded(chirp(2, 48_000), 48_000)
        np.testing.assert_allclose(heard(content, wanted), plainly(content, wanted), atol=EXACT)

    @pytest.mark.parametrize("channels", [1, 2, 6])
    def test_channels_are_mixed(self, channels: int) -> None:
        samples = chirp(1, channels=channels)
        found = heard(encoded(samples, subtype="FLOAT"))
        np.testing.assert_allclose(found, samples.mean(axis=1), atol=EXACT)

    def test_opposite_channels_are_silence(self) -> None:
        samples = chirp(1)
        assert not heard(encoded(np.concatenate([samples, -samples], axis=1), subtype="FLOAT")).any()

    def test_24_bits_are_kept(self) -> None:
        samples = np.arange(RATE, dtype=np.float32) * 2.0**-23
        np.testing.assert_array_equal(heard(encoded(samples, subtype="PCM_24")), samples)

    def test_silence(self) -> None:
        found = heard(encoded(np.zeros(2 * RATE, np.float32)))
        assert len(found) == 2 * RATE
        assert not found.any()

    @pytest.mark.parametrize("milliseconds", [0.0625, 1, 10])
    @pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
    def test_the_shortest(self, milliseconds: float, rate: int) -> None:
        samples = chirp(1, rate)[: max(1, round(rate * milliseconds / 1000))]
        found = heard(encoded(samples, rate))
        assert len(found) == -(-len(samples) * RATE // rate)

    def test_clipping_is_kept(self) -> None:
        loud = np.clip(10 * chirp(1), -1, 1)
        found = heard(encoded(loud, subtype="FLOAT"))
        assert np.count_nonzero(np.abs(found) == 1) == np.count_nonzero(np.abs(loud) == 1) > RATE / 2

    def test_what_is_beyond_1_is_kept(self) -> None:
        assert np.abs(heard(encoded(10 * chirp(1), subtype="FLOAT"))).max() > 2.5

    def test_what_begins_after_the_end(self) -> None:
        assert len(heard(SOUND, start=3.0)) == len(heard(SOUND, start=99.0)) == len(heard(SOUND, seconds=0)) == 0
        assert len(heard(SOUND, start=2.5, seconds=99)) == RATE // 2

    @pytest.mark.parametrize(("start", "seconds"), [(-1.0, None), (0.0, -1.0), (np.nan, 1.0)])
    def test_no_time(self, start: float, seconds: float | None) -> None:
        with pytest.raises(InputError, match="must be a number of seconds from 0"):
            heard(SOUND, start=start, seconds=seconds)


class TestLimits:
    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"max_hours": 1 / 3600}, r"longer than 0\.000277\d+ h \(max_hours\)"),
            ({"max_rate": 8_000}, r"16,000 samples a second.* 8,000 \(max_rate\)"),
            ({"min_rate": 20_000}, r"16,000 samples a second.* 20,000 \(min_rate\)"),
        ],
    )
    def test_a_recording(self, settings: dict[str, Any], reason: str) -> None:
        for content in (SOUND, of_unknown_length(FLAC)):
            with pytest.raises(InputError, match=reason):
                heard(content, **settings)

    def test_channels(self) -> None:
        with pytest.raises(InputError, match="6 channels, more than the 2 of max_channels"):
            heard(encoded(chirp(1, channels=6)), max_channels=2)

    @pytest.mark.parametrize(
        "wrong", [{"max_hours": 0.0}, {"min_rate": 0}, {"min_rate": 9_000, "max_rate": 8_000}, {"max_channels": 2_000}]
    )
    def test_settings(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match=next(iter(wrong))):
            AudioSettings(**wrong)


class TestResampling:
    @pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 96_000, 7_999, 44_101])
    @pytest.mark.parametrize("size", [97, 5_000, 1 << 16])
    def test_blocks_are_the_whole(self, rate: int, size: int) -> None:
        samples = np.random.default_rng(0).standard_normal(3 * rate + 1).astype(np.float32)
        way = Ratio(rate, RATE)
        found = np.concatenate(
            list(way.blocks(samples[first : first + size] for first in range(0, len(samples), size)))
        )
        np.testing.assert_allclose(found, way.whole(samples), atol=EXACT)

    @pytest.mark.parametrize("rate", [8_000, 44_100, 47_952])
    def test_without_a_kernel_it_is_the_same(self, rate: int) -> None:
        """Rates that share no divisor would have kernels of gigabytes."""
        samples = np.random.default_rng(0).standard_normal(2 * rate).astype(np.float32)
        by_kernel = torchaudio.functional.resample(torch.from_numpy(samples).double(), rate, RATE).numpy()
        np.testing.assert_allclose(Ratio(rate, RATE)._summed(samples), by_kernel, atol=EXACT)
        odd = Ratio(44_101, RATE)
        assert odd.wanted_period * (odd.period + 2 * odd.reach) > MOST_KERNEL

    def test_a_recording_of_many_blocks(self) -> None:
        content = encoded(chirp(40, 44_100, channels=2), 44_100)
        assert 6 * BLOCK_SAMPLES < 2 * 40 * 44_100
        np.testing.assert_allclose(heard(content), plainly(content), atol=EXACT)

    def test_several_threads(self) -> None:
        contents = [encoded(chirp(2, rate, seed=rate), rate) for rate in (8_000, 44_100, 48_000) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(heard, contents))
        for content, samples in zip(contents, found, strict=True):
            np.testing.assert_array_equal(samples, heard(content))


class TestRanges:
    """A second is read from anywhere as it is in the whole, however the recording is compressed."""

    @pytest.mark.parametrize("rate", [16_000, 48_000])
    @pytest.mark.parametrize(
        "how", ["MP3 VARIABLE", "MP3 CONSTANT", "OGG VORBIS", "OGG OPUS", "FLAC PCM_16", "WAV PCM_16"]
    )
    def test_seconds(self, how: str, rate: int) -> None:
        samples = chirp(30, rate)
        kind, subtype = how.split()
        content = mp3(samples, rate, mode=subtype) if kind == "MP3" else encoded(samples, rate, kind, subtype)
        found = heard(content)
        with open_audio({"content": content}, WORK, AudioSettings()) as recording:
            for start in np.random.default_rng(1).uniform(0, 28, 20):
                first = round(start * RATE)
                np.testing.assert_allclose(
                    recording.read(start=start, seconds=1.5), found[first : round((start + 1.5) * RATE)], atol=EXACT
                )


class _Counting(io.BytesIO):
    """Counts what is read of it, and fails after so many bytes."""

    def __init__(self, content: bytes, most: int = 1 << 60) -> None:
        super().__init__(content)
        self.bytes, self.most = 0, most

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes += len(data)
        if self.bytes > self.most:
            raise TimeoutError("throttled")
        return data


class TestStorage:
    @pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.8])
    @pytest.mark.parametrize(
        "content", [SOUND, FLAC, MP3, without_length(MP3), encoded(chirp(9), format="OGG", subtype="VORBIS")]
    )
    def test_that_fails_is_no_damage(self, content: bytes, share: float) -> None:
        most = int(share * len(content))
        work = Work(lambda path, *, whole=True: cast(BinaryIO, _Counting(content, most)), Room(1))
        with (
            pytest.raises(StorageError, match="failed in mid-file: TimeoutError: throttled"),
            open_audio({"path": "x"}, work, AudioSettings()) as recording,
        ):
            recording.read()

    def test_of_a_long_recording_only_what_is_asked_for_is_read(self) -> None:
        file = _Counting(encoded(chirp(600)))
        sound = Sound(file)
        assert sound.seconds == 600
        assert file.bytes < 10_000
        sound.go(500 * RATE)
        assert len(sound.read(RATE)) == RATE
        assert file.bytes < 200_000


LONG = """
import resource, sys
from brightspark.speech.audio import open_audio
from brightspark.speech.settings import AudioSettings
from tests.speech.sounds import WORK, chirp, encoded

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

with open_audio({"content": encoded(chirp(60, 8000), 8000)}, WORK, AudioSettings()) as recording:
    recording.read()
before = peak()
with open_audio({"path": sys.argv[1]}, WORK, AudioSettings()) as recording:
    samples = sum(map(len, recording.blocks()))
    last = recording.read(start=3 * 3600 - 1)
print(samples, len(last), float(abs(last).max()), peak() - before)
"""


@pytest.mark.slow
def test_three_hours_take_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    minute = encoded(chirp(60, 8_000), 8_000)[44:]
    with wave.open(str(tmp_path / "long.wav"), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        for _ in range(180):
            file.writeframes(minute)
    assert (tmp_path / "long.wav").stat().st_size > 172_000_000
    said = subprocess.check_output([sys.executable, "-c", LONG, str(tmp_path / "long.wav")], text=True)
    samples, last, loudest, megabytes = map(float, said.split())
    assert samples == 3 * 3600 * RATE
    assert last == RATE
    assert loudest > 0.1
    assert megabytes < 64
