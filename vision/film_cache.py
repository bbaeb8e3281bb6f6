"""The few films that a process keeps open between rows, so that each goes on where it stands."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from av import VideoFrame

from brightspark.core.errors import InputError
from brightspark.core.predictor import Opener
from brightspark.vision.film import Film, Matrix
from brightspark.vision.unchanged import Unchanged, open_alike

FILMS_HELD = 4  # open films in a process; each holds a decoder's frames: about 60 MB for H.264 of 1920 × 1080 pixels

_films: list[HeldFilm] = []  # the one used last is last
_lock = threading.Lock()


class Seen(NamedTuple):
    """A frame, its width and height with square pixels before it is turned upright, and how it is to be turned."""

    frame: VideoFrame
    size: tuple[int, int]
    matrix: Matrix


def frame_at(path: str, seconds: float | None, open: Opener, max_pixels: int) -> Seen:
    """The frame of a film at a time, by the film that is open, or one that is opened now."""
    while True:
        held = _held(path, open, max_pixels)
        found = held.at(seconds)
        if found is not None:
            return found


def close_all() -> None:
    """Closes every film that this process keeps open."""
    with _lock:
        films = _films[:]
        _films.clear()
    for film in films:
        film.close()


def _held(path: str, open: Opener, max_pixels: int) -> HeldFilm:
    with _lock:
        for film in _films:
            if film.is_for(path, open, max_pixels):
                _films.remove(film)
                break
        else:
            film = HeldFilm(path, open, max_pixels)
        _films.append(film)
        surplus = _films[:-FILMS_HELD]
        del _films[:-FILMS_HELD]
    for old in surplus:
        old.close()
    return film


class HeldFilm:
    """A film that threads take turns at, opened when it is needed, and again when its file has changed."""

    def __init__(self, path: str, open: Opener, max_pixels: int) -> None:
        self._path, self._open, self._max_pixels = path, open, max_pixels
        self._film: Film | None = None
        self._file: Unchanged | None = None
        self._closed = False
        self._turns = Turns()

    def is_for(self, path: str, open: Opener, max_pixels: int) -> bool:
        """Whether this is the film that such a call means."""
        return path == self._path and max_pixels == self._max_pixels and open_alike(open, self._open)

    def at(self, seconds: float | None) -> Seen | None:
        """The frame at a time; None where the film was closed meanwhile."""
        with self._turns.take(seconds or 0.0):
            if self._closed:
                return None
            try:
                film = self._current()
                frame = film.at(seconds)
                return Seen(frame, film.display_size(frame), film.matrix)
            except InputError:
                raise  # of what was asked for; the film is sound
            except BaseException:
                self._drop()
                raise

    def close(self) -> None:
        """Closes the film for good, after those that wait for a frame."""
        with self._turns.take(float("inf")):
            self._closed = True
            self._drop()

    def _current(self) -> Film:
        if self._file is not None and not self._file.still():
            self._drop()
        if self._film is None:
            self._file = Unchanged(self._path)
            file = self._open(self._path, whole=False)
            try:
                self._film = Film(file, max_pixels=self._max_pixels)
            except BaseException:
                file.close()
                raise
        return self._film

    def _drop(self) -> None:
        if self._film is not None:
            self._film.close()
            self._film = None


class Turns:
    """Lets one thread through at a time: first those that want a later moment than the last one, in order of time.

    Threads that decode the rows of a video ask for them nearly in order. Nearly is not enough: one step back, and the
    film is decoded again from the key frame before.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[float] = []
        self._busy = False
        self._last = 0.0

    @contextmanager
    def take(self, moment: float) -> Iterator[None]:
        """Waits for the turn of `moment`, and has it for the length of a `with` block."""
        with self._changed:
            self._waiting.append(moment)
            self._changed.wait_for(lambda: not self._busy and self._next() == moment)
            self._waiting.remove(moment)
            self._busy, self._last = True, moment
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> float:
        return min(self._waiting, key=lambda moment: (moment < self._last, moment))


def _forget() -> None:
    """In a forked process: the parent goes on with its films, whose positions in their files both would move."""
    global _films, _lock
    _films, _lock = [], threading.Lock()


os.register_at_fork(after_in_child=_forget)
