"""Recordings as they are: every format and every kind of damage gives its samples, or one clear line."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
import soundfile
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
    FORMATS,
    RATE,
    WORK,
    Samples,
    chirp,
    claiming,
    encoded,
    mp3,
    of_unknown_length,
    without_length,
)

EXACT = 1e-5  # of samples between -1 and 1


def heard(
    content: bytes, rate: int = RATE, *, start: float = 0.0, seconds: float | None = None, **settings: Any
) -> Samples:
    """What a model gets of a recording."""
    with open_audio({"content": content}, WORK, AudioSettings(**settings)) as recording:
        return recording.read(rate, start=start, seconds=seconds)


def refusal(content: bytes, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        heard(content, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def plainly(content: bytes, wanted: int = RATE) -> Samples:
    """The same by soundfile and torchaudio alone, whole."""
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float64", always_2d=True)
    mono = torch.from_numpy(samples.mean(axis=1))
    return torchaudio.functional.resample(mono, rate, wanted).numpy().astype(np.float32)


SOUND = encoded(chirp(3))
MP3 = mp3(chirp(3))
FLAC = encoded(chirp(3), format="FLAC")
AIFF = encoded(chirp(3), format="AIFF")
NOTHING = encoded(chirp(0))
NAN, INFINITE = (encoded(np.full(RATE, value, np.float32), subtype="FLOAT") for value in (np.nan, np.inf))


class TestWhatIsNoRecording:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            pytest.param(b"", "the file has 0 bytes", id="zero bytes"),
            pytest.param(SOUND[:5], "header is damaged or cut", id="5 bytes of a WAV"),
            pytest.param(SOUND[:40], "header is damaged or cut .*data", id="cut header"),
            pytest.param(FLAC[:30], "header is damaged or cut", id="cut header of a FLAC"),
            pytest.param(MP3[:60], "header is damaged or cut .no frame of MP3", id="cut header of an MP3"),
            pytest.param(encoded(chirp(3), format="OGG", subtype="OPUS")[:70], "header is damaged", id="cut Opus"),
            pytest.param(AIFF[:40], "header is damaged or cut", id="cut header of an AIFF"),
            pytest.param(SOUND[:44], "no samples", id="a header and nothing else"),
            pytest.param(b"Dear diary, " * 99, r"no sound that can be read: it starts with b'Dear diary", id="a text"),
            pytest.param(b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(5000), "header is damaged", id="a video"),
            pytest.param(b"\0\0\0\x20ftypM4A " + bytes(99), "this is MP4 .*ffmpeg", id="m4a"),
            pytest.param(b"\xff\xf1\x50\x80" + bytes(99), "this is AAC", id="aac"),
            pytest.param(b"\x1a\x45\xdf\xa3" + bytes(99), "this is WebM", id="webm"),
            pytest.param(b"#!AMR\n" + bytes(99), "this is AMR", id="amr"),
            pytest.param(b"ID3\x03\0\0\0\0\0\x10" + bytes(16) + b"text" * 99, "damaged or cut", id="an MP3's tag"),
            pytest.param(b"FORM\0\0\0\x648SVXVHDR" + bytes(99), "damaged or cut|is SVX", id="an Amiga's"),
            pytest.param(NOTHING, "it has no samples", id="0 samples"),
            pytest.param(encoded(chirp(0), format="OGG", subtype="VORBIS"), "it has no samples", id="0 of a Vorbis"),
            pytest.param(NAN, "samples that are not numbers", id="NaN"),
            pytest.param(INFINITE, "samples that are not numbers", id="infinite"),
        ],
    )
    def test_it_says_why(self, content: bytes, reason: str) -> None:
        with pytest.raises(InputError, match=reason):
            heard(content)

    def test_a_null(self) -> None:
        with pytest.raises(InputError, match="value is null"), open_audio({"path": None}, WORK, AudioSettings()):
            pass

    def test_it_names_the_path(self, tmp_path: Path) -> None:
        (tmp_path / "notes.wav").write_text("no sound")
        for name, reason in (
            ("notes.wav", r"no sound'.*notes\.wav"),
            ("nowhere.wav", r"there is no file .*nowhere\.wav"),
        ):
            with (
                pytest.raises((InputError, StorageError), match=reason),
                open_audio({"path": str(tmp_path / name)}, WORK, AudioSettings()),
            ):
                pass

    def test_nan_in_mid_file_and_in_one_channel(self) -> None:
        samples = chirp(60, channels=2)
        samples[50 * RATE, 1] = np.nan
        with open_audio({"content": encoded(samples, subtype="FLOAT")}, WORK, AudioSettings()) as recording:
            assert len(recording.read(seconds=10)) == 10 * RATE
            with pytest.raises(InputError, match="not numbers"):
                recording.read()


class TestCut:
    """A recording that ends before its header says is an error; on request what is there is taken."""

    @pytest.mark.parametrize(
        ("whole", "least"),
        [
            pytest.param(SOUND, 1.49, id="WAV"),
            pytest.param(encoded(chirp(3), subtype="ULAW"), 1.49, id="WAV ULAW"),
            pytest.param(encoded(chirp(3), subtype="GSM610"), 1.4, id="WAV GSM610"),
            pytest.param(encoded(chirp(3, channels=2), format="WAVEX", subtype="PCM_24"), 1.49, id="WAVEX"),
            pytest.param(encoded(chirp(3), format="RF64"), 1.49, id="RF64"),
            pytest.param(AIFF, 1.49, id="AIFF"),
            pytest.param(encoded(chirp(3), format="AU"), 1.49, id="AU"),
            pytest.param(FLAC, 1.2, id="FLAC"),
            pytest.param(MP3, 1.0, id="MP3"),
            pytest.param(mp3(chirp(3), mode="CONSTANT"), 1.4, id="MP3 of constant bits"),
        ],
    )
    def test_a_body(self, whole: bytes, least: float) -> None:
        cut = whole[: len(whole) // 2]
        reason = refusal(cut)
        assert "3.0" in reason
        assert "allow_cut=True" in reason
        taken = heard(cut, allow_cut=True)
        assert least <= len(taken) / RATE <= 2.1
        whole_samples = heard(whole)
        inside = len(taken) - 2_000  # an MP3's frames overlap the next ones
        np.testing.assert_allclose(taken[:inside], whole_samples[:inside], atol=EXACT)

    def test_a_little_is_no_matter(self) -> None:
        assert len(heard(SOUND[:-2000])) == 3 * RATE - 1000
        assert "cut" in refusal(SOUND[:-10_000])

    @pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0x7FFFF000])
    def test_a_length_that_the_writer_did_not_know(self, size: int) -> None:
        """A pipe's, and that of a recorder which lost its power."""
        np.testing.assert_array_equal(heard(claiming(SOUND, size)), heard(SOUND))
        if size == 0:
            np.testing.assert_array_equal(heard(claiming(claiming(SOUND, 0), 0, b"RIFF")), heard(SOUND))

    def test_no_samples_before_a_comment(self) -> None:
        assert "no samples" in refusal(NOTHING + b"LIST\x04\0\0\0INFO")

    def test_a_flac_of_unknown_length(self) -> None:
        content = of_unknown_length(FLAC)
        np.testing.assert_array_equal(heard(content), heard(FLAC))
        for start in (2.5, 0.25):
            np.testing.assert_array_equal(
                heard(content, start=start, seconds=0.5), heard(FLAC, start=start, seconds=0.5)
            )
        with open_audio({"content": content}, WORK, AudioSettings()) as recording:
            assert recording.sound.seconds is None
            assert len(recording.read(start=2.9)) < len(recording.read(start=1))  # back again

    def test_a_flac_that_is_damaged_inside(self) -> None:
        damaged = bytearray(FLAC)
        damaged[len(FLAC) // 2 : len(FLAC) // 2 + 50] = bytes(50)
        assert "damaged or cut after 1." in refusal(bytes(damaged))

    def test_several_oggs_in_one(self) -> None:
        one = encoded(chirp(2), format="OGG", subtype="VORBIS")
        assert "several Ogg streams" in refusal(one + encoded(chirp(3), format="OGG", subtype="VORBIS"))

    @pytest.mark.parametrize("claim", [4_000_000_000, 0xFFFFFFFF])
    def test_a_claim_of_4_gb_takes_no_memory(self, claim: int) -> None:
        content = claiming(SOUND, claim)
        tracemalloc.start()
        try:
            assert len(heard(content, allow_cut=True)) == 3 * RATE
            if claim < 0xFFFFFFFF:
                assert "125000.00 s, and 3.00 s are there" in refusal(content)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 32 << 20

    def test_a_flac_that_claims_a_month(self) -> None:
        number = int.from_bytes(FLAC[18:26], "big") | ((1 << 36) - 1)
        content = FLAC[:18] + number.to_bytes(8, "big") + FLAC[26:]
        assert "longer than 12 h" in refusal(content)
        assert len(heard(content, allow_cut=True, max_hours=5000)) == 3 * RATE


class TestMp3:
    """Of which libsndfile would read a part, and say nothing."""

    @pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
    def test_without_a_length(self, mode: str) -> None:
        samples = chirp(20)
        samples[: 8 * RATE] *= 0.001  # few bits a second, by which libsndfile would guess
        content = without_length(mp3(samples, mode=mode))
        found = heard(content)
        assert 20 <= len(found) / RATE < 20.1
        delay = round((len(found) - len(samples)) / 2)
        assert np.abs(found[-RATE - delay :]).max() > 0.1
        for start in (0.5, 7.77, 15.0):
            part = heard(content, start=start, seconds=2)
            np.testing.assert_allclose(part, found[round(start * RATE) :][: 2 * RATE], atol=EXACT)

    def test_two_in_one_as_podcasts_are_put_together(self) -> None:
        """The first one's length is in the header, and is not believed."""
        found = heard(mp3(chirp(5)) + mp3(chirp(20, seed=1)))
        assert 25 <= len(found) / RATE < 25.4
        assert np.abs(found[24 * RATE :]).max() > 0.1

    def test_with_tags(self) -> None:
        picture = b"\xff\xfb\x90\x64" * 20_000
        size = bytes(len(picture) >> shift & 0x7F for shift in (21, 14, 7, 0))
        tag = b"ID3\x03\0\0" + size + picture
        for content in (tag + MP3, MP3 + b"TAG" + bytes(125), tag + MP3 + b"APETAGEX" + bytes(20_000)):
            np.testing.assert_allclose(heard(content), heard(MP3), atol=EXACT)
        bare = without_length(MP3)
        np.testing.assert_allclose(heard(tag + bare), heard(bare), atol=EXACT)
        assert len(heard(bare + tag + bare)) / len(heard(bare)) == pytest.approx(2, abs=0.05)

    def test_damage_inside_is_passed_over(self) -> None:
        damaged = bytearray(MP3)
        damaged[6_000:6_300] = bytes(300)
        assert 2.7 < len(heard(bytes(damaged), allow_cut=True)) / RATE <= 3.0


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
