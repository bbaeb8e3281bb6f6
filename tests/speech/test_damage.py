"""What is no recording, is cut, or is damaged: one clear line, and on request what there is of it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from brightspark.core.errors import InputError, StorageError
from brightspark.speech.audio import open_audio
from brightspark.speech.settings import AudioSettings
from tests.speech.sounds import (
    EXACT,
    RATE,
    WORK,
    chirp,
    claiming,
    encoded,
    heard,
    mp3,
    of_unknown_length,
    refusal,
    without_length,
)

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
