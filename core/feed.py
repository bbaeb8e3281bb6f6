"""What keeps the model fed and memory bounded: a thread that works ahead, and room for what is being decoded."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, Full, Queue
from types import NoneType
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()
_PLAIN = (int, float, str, NoneType)


@contextmanager
def ahead(source: Iterator[T], *, depth: int) -> Iterator[Iterator[T]]:
    """Runs `source` on a thread of its own, at most `depth` results ahead of whoever iterates.

    An error in `source` is raised where the results are taken. Leaving the context stops the thread.
    """
    queue: Queue[Any] = Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                queue.put(item, timeout=0.1)
                return True
            except Full:
                continue
        return False

    def run() -> None:
        try:
            for item in source:
                if not put(item):
                    break
            else:
                put(_END)
        except BaseException as error:
            put(error)
        finally:
            if stop.is_set() and hasattr(source, "close"):
                source.close()

    def take() -> Iterator[T]:
        while (item := queue.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=run, name="feed", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        while True:
            try:
                queue.get_nowait()
            except Empty:
                break
        # The thread may be waiting for input that never comes (a Spark task that was cut short): do not wait for it.
        thread.join(timeout=5)


class Room:
    """A budget of bytes that threads share while they decode.

    Whoever asks for more than is free waits; a request larger than the whole budget gets it alone.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._free = threading.Condition()

    @contextmanager
    def __call__(self, nbytes: int) -> Iterator[None]:
        """Holds `nbytes` for the length of a `with` block."""
        with self._free:
            self._free.wait_for(lambda: self.used == 0 or self.used + nbytes <= self.total)
            self.used += nbytes
        try:
            yield
        finally:
            with self._free:
                self.used -= nbytes
                self._free.notify_all()


def nbytes(piece: Any) -> int:
    """The memory that a piece holds: of arrays and tensors their data, of containers their members'.

    >>> nbytes(b"four"), nbytes({"a": bytearray(2), "b": [b"x"]})
    (4, 3)
    """
    if isinstance(piece, _PLAIN):  # first: there may be thousands, the numbers of a text's tokens
        return sys.getsizeof(piece)
    if isinstance(piece, bytes | bytearray):
        return len(piece)
    if (size := getattr(piece, "nbytes", None)) is not None:
        return int(size)
    if isinstance(piece, list | tuple):
        return sum(map(nbytes, piece))
    if isinstance(piece, Mapping):
        return sum(map(nbytes, piece.values()))
    return sys.getsizeof(piece)
