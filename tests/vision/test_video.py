"""`open_frame`: the frame on display at a time is that of a plain decode, whatever the file, damaged or not."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from brightspark.core.errors import InputError, StorageError
from brightspark.vision.images import MAX_PIXELS
from brightspark.vision.video import open_frame
from tests.vision.film_reading import (
    STORAGE,
    closed,  # noqa: F401 - a fixture of every test here
    film_of,
    image_at,
    number_at,
)
from tests.vision.films import cut, on_display, plain_frames, save_film, save_recording, with_duration, with_matrix

UNEVEN = list(itertools.accumulate(random.Random(0).choices([20, 40, 41, 90, 700], k=99), initial=0))  # milliseconds

OPEN_GROUPS = "open-gop=1:b-adapt=0:scenecut=0"  # key frames after which come frames that are shown before them

FILMS: dict[str, Callable[[Path], Path]] = {
    "H.264 with B-frames in MP4": lambda folder: save_film(folder / "a.mp4", b_frames=3),
    "in Matroska": lambda folder: save_film(folder / "a.mkv", b_frames=3),
    "in a transport stream": lambda folder: save_film(folder / "a.ts", b_frames=3),
    "open groups in a transport stream": lambda folder: save_film(folder / "a.ts", b_frames=3, x264=OPEN_GROUPS),
    "open groups in MP4": lambda folder: save_film(folder / "a.mp4", b_frames=3, x264=OPEN_GROUPS),
    "in fragments": lambda folder: save_film(folder / "a.mp4", b_frames=2, movflags="frag_keyframe+empty_moov"),
    "MPEG-4 in AVI": lambda folder: save_film(folder / "a.avi", "mpeg4"),
    "MPEG-4 with B-frames in AVI": lambda folder: save_film(folder / "a.avi", "mpeg4", b_frames=2),
    "Motion JPEG": lambda folder: save_film(folder / "a.avi", "mjpeg", pixels="yuvj420p"),
    "MPEG-2 in a transport stream": lambda folder: save_film(folder / "a.ts", "mpeg2video", b_frames=2),
    "VP8": lambda folder: save_film(folder / "a.webm", "libvpx"),
    "WMV": lambda folder: save_film(folder / "a.wmv", "wmv2"),
    "FLV": lambda folder: save_film(folder / "a.flv", "flv"),
    "a variable frame rate": lambda folder: save_film(
        folder / "a.mkv", times=UNEVEN, tick=Fraction(1, 1000), b_frames=2
    ),
    "a start at ten seconds": lambda folder: save_film(folder / "a.mp4", times=range(250, 350)),
    "negative time stamps": lambda folder: save_film(folder / "a.mp4", times=range(-20, 80), b_frames=3),
    "a single key frame": lambda folder: save_film(folder / "a.mp4", gop=1000),
    "only key frames": lambda folder: save_film(folder / "a.mp4", gop=1),
    "a live recording without a duration": lambda folder: save_film(folder / "a.mkv", b_frames=2, live="1"),
    "a duration ten times too long": lambda folder: with_duration(save_film(folder / "a.mp4"), 10),
    "a duration ten times too short": lambda folder: with_duration(save_film(folder / "a.mkv"), 0.1),
    "10-bit colour": lambda folder: save_film(folder / "a.mp4", pixels="yuv420p10le", b_frames=2),
}


class TestFrames:
    @pytest.mark.parametrize("name", FILMS)
    def test_the_frame_on_display_is_that_of_a_plain_decode(self, name: str, tmp_path: Path) -> None:
        path = FILMS[name](tmp_path)
        frames = plain_frames(path)
        last = frames[-1].seconds
        in_order = [frame.seconds for frame in frames]
        anywhere = [random.Random(1).uniform(0, last) for _ in range(40)]
        every = [number * 0.1 for number in range(int(last / 0.1))]
        for seconds in (*in_order, *anywhere, *every, *reversed(every[::7])):
            assert image_at(path, seconds) == on_display(frames, seconds), f"at {seconds} s"
        assert image_at(path, None) == frames[0].image

    @pytest.mark.parametrize("name", FILMS)
    def test_the_end_is_that_of_the_last_frame(self, name: str, tmp_path: Path) -> None:
        path = FILMS[name](tmp_path)
        last = plain_frames(path)[-1].seconds
        film = film_of(path)
        assert last < film.seconds() <= last + 0.05
        assert film.decoded == 1
        ends = "no frame at 1000 s: the video ends at"
        with pytest.raises(InputError, match=rf"{ends} {round(film.seconds(), 3)} s"):
            image_at(path, 1000)

    @pytest.mark.parametrize(
        "matrix",
        [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1), (0, 1, -1, 0), (0, -1, 1, 0), (0, 1, 1, 0),
         (0, -1, -1, 0)],
    )  # fmt: skip
    def test_a_film_is_turned_and_mirrored_as_it_says(self, matrix: tuple[int, ...], tmp_path: Path) -> None:
        """By the definition of the matrix: (x, y) goes to (a x + c y, b x + d y)."""
        upright = with_matrix(save_film(tmp_path / "a.mp4", frames=6), matrix)
        stored = np.asarray(plain_frames(upright)[5].image)
        height, width = stored.shape[:2]
        a, b, c, d = matrix
        y, x = np.mgrid[:height, :width]
        to_x, to_y = a * x + c * y, b * x + d * y
        expected = np.zeros((int(np.ptp(to_y)) + 1, int(np.ptp(to_x)) + 1, 3), np.uint8)
        expected[to_y - to_y.min(), to_x - to_x.min()] = stored
        assert np.array_equal(np.asarray(image_at(upright, 0.2)), expected)

    def test_pixels_that_are_no_squares_are_made_so(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", aspect=Fraction(3, 2))
        assert image_at(film, 1.0).size == (96, 48)
        assert number_at(film, 1.0) == 25

    def test_grey_is_pillows_grey(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=3)
        with open_frame(str(film), 0.0, STORAGE.open, max_pixels=MAX_PIXELS) as picture:
            assert picture.decode("L") == plain_frames(film)[0].image.convert("L")


class TestFilesThatAreDamaged:
    @pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.ts", "a.flv", "fast.mp4", "fragments.mp4"])
    def test_frames_before_a_cut_answer_and_later_ones_say_where_it_ends(self, name: str, tmp_path: Path) -> None:
        codec = {"a.avi": "mpeg4", "a.flv": "flv"}.get(name, "libx264")
        flags = {"fast.mp4": "faststart", "fragments.mp4": "frag_keyframe+empty_moov"}.get(name)
        whole = save_film(tmp_path / name, codec, frames=250, gop=25, **({"movflags": flags} if flags else {}))
        damaged = cut(whole)
        ends = film_of(damaged).seconds()
        assert 3 < ends < 9
        for seconds in (0.0, 9.9, 4.0, ends - 0.1, ends - 3):
            if seconds < ends:
                assert number_at(damaged, seconds) == number_at(whole, seconds)
            else:
                with pytest.raises(InputError, match=rf"^there is no frame at 9.9 s: the video ends at {ends:g} s$"):
                    number_at(damaged, seconds)

    def test_a_damaged_stretch_is_passed(self, tmp_path: Path) -> None:
        """Noise over a key frame and what follows: frames before and long after are right."""
        film = save_film(tmp_path / "a.ts", frames=250, gop=25)
        data = bytearray(film.read_bytes())
        start = len(data) * 2 // 5
        data[start : start + 1500] = random.Random(0).randbytes(1500)
        film.write_bytes(data)
        assert [number_at(film, seconds) for seconds in (1.0, 2.0, 9.0, 9.5, 2.0)] == [25, 50, 225, 237, 50]
        assert image_at(film, 4.5).size == (64, 48)

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("empty.mp4", b"", "no video that can be read: it has 0 bytes"),
            ("a text.mp4", b"hello " * 100, "no video that can be read: it starts with b'hello hello hell'"),
            ("one byte.avi", b"R", "no video that can be read"),
            (
                "a list.mp4",
                b"ffconcat version 1.0\nfile film.mp4\n",
                "no video that can be read: it starts with b'ffconc",
            ),
        ],
    )
    def test_no_video(self, name: str, content: bytes, said: str, tmp_path: Path) -> None:
        save_film(tmp_path / "film.mp4", frames=3)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=said):
            image_at(tmp_path / name, 0.0)

    def test_no_index(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"its index \(moov\) is missing"):
            image_at(cut(save_film(tmp_path / "a.mp4")), 0.0)

    def test_sound_only(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no video in it, only audio"):
            image_at(save_recording(tmp_path / "a.mp4"), 0.0)

    @pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
    def test_no_time(self, seconds: float, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is no time in a video"):
            image_at(save_film(tmp_path / "a.mp4", frames=3), seconds)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="there is no file"):
            image_at(tmp_path / "nowhere.mp4", 0.0)

    def test_too_many_pixels_are_refused_before_a_frame_is_decoded(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=3)
        with pytest.raises(InputError, match="the video has 64×48 pixels, more than the 3,000 that are allowed"):
            image_at(film, 0.0, max_pixels=3000)

    def test_any_damage_is_an_input_error_or_a_frame(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """And FFmpeg says nothing of it into the worker's log."""
        luck = random.Random(2)
        whole = [make(tmp_path / name).read_bytes() for name, make in FILMS.items()]
        for number, content in enumerate(whole * 6):
            data = bytearray(content)
            for _ in range(luck.choice([1, 20, 300])):
                data[luck.randrange(luck.choice([1000, len(data)]))] = luck.randrange(256)
            damaged = tmp_path / f"{number}.mp4"
            damaged.write_bytes(data[: luck.choice([len(data), luck.randrange(len(data))])])
            for seconds in (0.0, 3.0, 1.0):
                with contextlib.suppress(InputError):
                    image_at(damaged, seconds)
        assert capfd.readouterr() == ("", "")
