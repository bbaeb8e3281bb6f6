"""`open_frame`: the frame on display at a time is that of a plain decode, whatever the file; and quick in order."""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import numpy as np
import pytest
from av import VideoFrame
from PIL import Image

from brightspark.core.errors import InputError, StorageError
from brightspark.core.storage import Storage
from brightspark.vision import film_cache
from brightspark.vision.demux import BUFFER_BYTES
from brightspark.vision.film import Film
from brightspark.vision.images import MAX_PIXELS
from brightspark.vision.video import open_frame
from tests.vision.films import (
    cut,
    number_of,
    on_display,
    plain_frames,
    save_film,
    save_recording,
    with_duration,
    with_matrix,
)

STORAGE = Storage()
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


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    film_cache.close_all()


def image_at(path: Path | str, seconds: float | None, storage: Storage = STORAGE, **options: Any) -> Image.Image:
    with open_frame(str(path), seconds, storage.open, **{"max_pixels": MAX_PIXELS, **options}) as picture:
        image = picture.decode("RGB")
        assert image.size == picture.size
        return image


def number_at(path: Path | str, seconds: float | None, storage: Storage = STORAGE) -> int:
    return number_of(image_at(path, seconds, storage))


def film_of(path: Path) -> Film:
    return Film(path.open("rb"))


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


class TestEffort:
    """Frames in order are decoded once, and what nobody asks for is skipped where a key frame allows it."""

    def decoded(self, path: Path, times: list[float]) -> int:
        film = film_of(path)
        for seconds in times:
            film.at(seconds)
        return film.decoded

    def test_every_frame_once(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=250, gop=25, b_frames=2)
        assert self.decoded(film, [number / 25 for number in range(250)]) == 250

    def test_from_the_key_frame_before(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=250, gop=25)
        assert self.decoded(film, [number / 25 for number in range(130, 250)]) <= 120 + 25 + 2

    def test_only_what_is_asked_for_where_all_are_key_frames(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.avi", "mjpeg", frames=250, pixels="yuvj420p")
        assert self.decoded(film, [float(second) for second in range(10)]) <= 2 * 10

    def test_far_apart_with_a_single_key_frame(self, tmp_path: Path) -> None:
        """Seeking leads back to the beginning every time: that is found out once."""
        film = save_film(tmp_path / "a.mp4", frames=250, rate=1, gop=1000)
        assert self.decoded(film, [12.0 * number for number in range(20)]) <= 1.5 * 250

    def test_far_apart_is_sought(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=250, rate=1, gop=10)
        source = film_of(film)
        read = 0
        original = source._packets.read

        def counting() -> Any:
            nonlocal read
            read += 1
            return original()

        source._packets.read = counting  # type: ignore[method-assign]
        for number in range(5):
            source.at(50.0 * number)
        assert source.decoded + read <= 5 * 2 * 14

    def test_threads_take_turns_in_order(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=250, gop=250)
        times = [number / 25 for number in range(250)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda seconds: number_at(film, seconds), times)) == list(range(250))
        (held,) = film_cache._films
        assert held._film is not None
        assert held._film.decoded <= 1.2 * 250


class TestOpenFilms:
    def test_few_stay_open(self, tmp_path: Path) -> None:
        films = [save_film(tmp_path / f"{number}.mp4", frames=30) for number in range(8)]

        def held() -> int:
            links = [Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
            return sum(link.exists() and link.resolve().parent == tmp_path for link in links)

        for seconds in (0.0, 1.0):
            for film in films:
                assert number_at(film, seconds) == int(seconds * 25)
        assert held() == film_cache.FILMS_HELD
        film_cache.close_all()
        assert held() == 0

    def test_frames_are_free_at_once(self, tmp_path: Path) -> None:
        """Also without Python's collector, which comes too late for frames of many megabytes."""
        film = save_film(tmp_path / "a.mp4", frames=60, b_frames=2)
        gc.collect()
        gc.disable()
        try:
            for number in range(60):
                image_at(film, number / 25)
            assert sum(type(held) is VideoFrame for held in gc.get_objects()) <= 3
        finally:
            gc.enable()

    def test_threads_at_more_films_than_stay_open(self, tmp_path: Path) -> None:
        films = [save_film(tmp_path / f"{number}.mp4", frames=50) for number in range(6)]
        asked = [(film, number) for number in range(0, 50, 5) for film in films]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda row: number_at(row[0], row[1] / 25), asked)) == [row[1] for row in asked]

    def test_a_file_that_was_replaced_is_opened_again(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=30)
        assert number_at(film, 0.0) == 0
        save_film(tmp_path / "b.mp4", frames=30, times=range(0, 60, 2)).replace(film)
        assert number_at(film, 0.4) == 5
        film.unlink()
        with pytest.raises(StorageError, match="there is no file"):
            number_at(film, 0.0)

    def test_other_storage_is_not_served_from_an_open_film(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=3)
        assert number_at(film, 0.0) == 0
        with pytest.raises(StorageError, match="outside"):
            number_at(film, 0.0, Storage(base=str(tmp_path / "elsewhere")))

    def test_equal_storage_is(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=30)
        for seconds in (0.0, 0.4):
            number_at(film, seconds, Storage(options={"anon": True}))
        assert len(film_cache._films) == 1

    def test_storage_that_fails_in_between_is_asked_again(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.avi", "mjpeg", frames=250, pixels="yuvj420p", size=(640, 480))
        assert film.stat().st_size > 5 * BUFFER_BYTES
        broken = threading.Event()

        class Flaky:
            def __init__(self, file: BinaryIO) -> None:
                self.file, self.seek, self.tell, self.close = file, file.seek, file.tell, file.close

            def read(self, size: int = -1) -> bytes:
                if broken.is_set():
                    raise ConnectionResetError("the network is gone")
                return self.file.read(size)

        def opener(path: str, *, whole: bool = True) -> Any:
            return Flaky(STORAGE.open(path, whole=whole))

        def number(seconds: float) -> int:
            with open_frame(str(film), seconds, opener, max_pixels=MAX_PIXELS) as picture:
                return number_of(picture.decode("RGB"))

        assert number(0.0) == 0
        broken.set()
        with pytest.raises(ConnectionResetError):
            number(9.0)
        broken.clear()
        assert number(9.0) == 225

    def test_a_fork_does_not_move_its_parents_films(self, tmp_path: Path) -> None:
        film = save_film(tmp_path / "a.mp4", frames=250, gop=25, size=(640, 480))
        assert number_at(film, 0.0) == 0
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                status = 0 if number_at(film, 8.0) == 200 else 1
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert [number_at(film, number / 25) for number in range(100)] == list(range(100))

    def test_an_object_store_is_read_by_range(self, tmp_path: Path) -> None:
        """And a file larger than `max_bytes` is opened: only parts of it are read."""
        film = save_film(tmp_path / "a.mp4", "mjpeg", frames=250, rate=1, size=(1280, 720), pixels="yuvj420p")
        content = film.read_bytes()
        assert len(content) > 12 * BUFFER_BYTES
        with fsspec.filesystem("memory").open("/films/a.mp4", "wb") as file:
            file.write(content)
        storage = Storage(schemes=frozenset({"memory"}), max_bytes=100)
        read: list[int] = []

        class Counting:
            def __init__(self, file: BinaryIO) -> None:
                self.file, self.seek, self.tell, self.close = file, file.seek, file.tell, file.close

            def read(self, size: int = -1) -> bytes:
                data = self.file.read(size)
                read.append(len(data))
                return data

        def opener(path: str, *, whole: bool = True) -> Any:
            return Counting(storage.open(path, whole=whole))

        def number(seconds: float) -> int:
            with open_frame("memory://films/a.mp4", seconds, opener, max_pixels=MAX_PIXELS) as picture:
                return number_of(picture.decode("RGB"))

        assert Film(opener("memory://films/a.mp4", whole=False)).seconds() == pytest.approx(250.0)
        assert sum(read) < len(content) / 2
        read.clear()
        assert [number(seconds) for seconds in (10.0, 240.0, 0.0)] == [10, 240, 0]
        assert sum(read) < len(content) / 2
