"""Storage that fails for a moment, as an object store does that is asked too much: local files behind `flaky://`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from brightspark.core.storage import Storage

FLAKY = Storage(schemes=frozenset({"flaky"}))

_left = {"opens": 1 << 60, "reads": 1 << 60}


@contextmanager
def flaky(*, opens: int = 1 << 60, reads: int = 1 << 60) -> Iterator[None]:
    """So many files can be opened, and so many times can be read of them, before the storage times out."""
    before = dict(_left)
    _left.update(opens=opens, reads=reads)
    try:
        yield
    finally:
        _left.update(before)


def _use(what: str) -> None:
    if _left[what] <= 0:
        raise TimeoutError("throttled")
    _left[what] -= 1


class _File:
    def __init__(self, file: Any) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1, /) -> bytes:
        _use("reads")
        data: bytes = self._file.read(size)
        return data


class _Flaky(LocalFileSystem):  # type: ignore[misc]
    protocol = "flaky"

    def open(self, path: str, mode: str = "rb", **options: Any) -> _File:
        _use("opens")
        return _File(super().open(path, mode, **options))


fsspec.register_implementation("flaky", _Flaky, clobber=True)
