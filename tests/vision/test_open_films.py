"""Films that stay open: frames in order are decoded once, and each asks for its own file and storage."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pytest
from av import VideoFrame

from brightspark.core.errors import StorageError
from brightspark.core.storage import Storage
from brightspark.vision import film_cache
from brightspark.vision.demux import BUFFER_BYTES
from brightspark.vision.film import Film
from brightspark.vision.images import MAX_PIXELS
from brightspark.vision.video import open_frame
from tests.vision.film_reading import (
    STORAGE,
    closed,  # noqa: F401 - a fixture of every test here
    film_of,
    image_at,
    number_at,
)
from tests.vision.films import number_of, save_film


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
