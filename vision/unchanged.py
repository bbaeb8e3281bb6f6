"""Whether a file that a process keeps open is still the one that its path names. Knows no torch and no Spark."""

from __future__ import annotations

import os
import time

from brightspark.core.predictor import Opener
from brightspark.core.storage import split_scheme

TRUSTED_SECONDS = 60  # for which an open file that cannot be looked at (an object store's) counts as unchanged


class Unchanged:
    """What a file is before it is opened, to be compared with what it is later."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._used = time.monotonic()

    def still(self) -> bool:
        """Whether the file is what it was; one in other storage is trusted for a while after each use."""
        now = time.monotonic()
        unchanged = now - self._used <= TRUSTED_SECONDS if self._stamp is None else self._stamp == _stamp(self._path)
        self._used = now
        return unchanged


def _stamp(path: str) -> tuple[int, ...] | None:
    """What changes with a local file; None for one in other storage."""
    scheme, plain = split_scheme(path)
    if scheme != "file":
        return None
    try:
        found = os.stat(plain)  # noqa: PTH116 - once a row: Path costs more than the call
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def open_alike(one: Opener, other: Opener) -> bool:
    """Whether two openers open alike: methods of equal storages do, and each task has a storage of its own."""
    if one == other:
        return True
    method = getattr(one, "__func__", None)
    same_method = method is not None and method is getattr(other, "__func__", None)
    return same_method and getattr(one, "__self__", None) == getattr(other, "__self__", None)
