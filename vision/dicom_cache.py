"""The few DICOM files with many frames that a process keeps open between rows: their headers are read once.

A header may be long (enhanced files describe each frame), and so may the way to a compressed frame. Knows no pydicom
until it meets a DICOM file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from brightspark.core.errors import InputError
from brightspark.core.predictor import Opener
from brightspark.vision.dicom import is_dicom
from brightspark.vision.unchanged import Unchanged, open_alike

if TYPE_CHECKING:
    from brightspark.vision.dicom_header import Header

FILES_HELD = 4
BYTES_HELD = 256 << 20  # of their headers; the file that was used last stays, whatever it takes

_held: list[_File] = []  # the one used last is last
_opening: set[str] = set()  # paths that a thread is about to open: others wait for what it finds
_changed = threading.Condition()


class Opened(NamedTuple):
    """A file, and its header where it is a DICOM."""

    file: BinaryIO
    header: Header | None


@contextmanager
def opened(path: str, open: Opener) -> Iterator[Opened]:
    """A file for the length of a `with` block: one that is held, or else one that is opened now.

    Raises as `open` does, InputError for a DICOM whose header is damaged, StorageError where the storage fails.
    """
    file = _take(path, open) or _open(path, open)
    try:
        yield file.opened
    except InputError:
        raise  # of what was asked for; the file is sound
    except BaseException:
        _drop(file)
        raise
    finally:
        _give_back(file)


def close_all() -> None:
    """Closes every file that this process keeps open; one that is read just now, when that is done."""
    with _changed:
        files = _held[:]
    for file in files:
        _drop(file)


def _take(path: str, open: Opener) -> _File | None:
    """The file that is held; None where there is none, and the caller is to open it."""
    with _changed:
        _changed.wait_for(lambda: path not in _opening)
        file = next((file for file in _held if file.path == path and open_alike(open, file.open)), None)
        if file is not None:
            _held.remove(file)
            if file.unchanged.still():
                _held.append(file)
                file.users += 1
                return file
            file.close_unused()
        _opening.add(path)
        return None


def _open(path: str, open: Opener) -> _File:
    file = None
    try:
        file = _File(path, open)
        return file
    finally:
        with _changed:
            if file is not None and file.has_many_frames():
                _held.append(file)
            _opening.remove(path)
            _changed.notify_all()


def _drop(file: _File) -> None:
    with _changed:
        if file in _held:
            _held.remove(file)
            file.close_unused()


def _give_back(file: _File) -> None:
    with _changed:
        file.users -= 1
        while len(_held) > FILES_HELD or (len(_held) > 1 and sum(map(_File.memory_bytes, _held)) > BYTES_HELD):
            _held.pop(0).close_unused()
        if file not in _held:
            file.close_unused()


class _File:
    """An open file, and how many threads use it."""

    def __init__(self, path: str, open: Opener) -> None:
        self.path, self.open = path, open
        self.unchanged = Unchanged(path)
        self.users = 1
        file = open(path, whole=False)
        try:
            self.opened = Opened(file, _header(file))
        except BaseException:
            file.close()
            raise

    def has_many_frames(self) -> bool:
        """Whether it is worth keeping."""
        try:
            return self.opened.header is not None and self.opened.header.frames > 1
        except InputError:  # which is for whoever asks for a frame
            return False

    def memory_bytes(self) -> int:
        """About what its header takes."""
        return self.opened.header.memory_bytes if self.opened.header else 0

    def close_unused(self) -> None:
        """Closes it, if nobody reads it."""
        if self.users == 0:
            self.opened.file.close()


def _header(file: BinaryIO) -> Header | None:
    if not is_dicom(file):
        return None
    from brightspark.vision.dicom_header import FRAME_TAGS, read_header

    header = read_header(file, FRAME_TAGS)
    with suppress(Exception):  # parsed when it is first asked for: by this thread, and not by all that read frames
        header.dataset.get("PerFrameFunctionalGroupsSequence")
    return header


def _forget() -> None:
    """In a forked process: the parent goes on with its files, whose positions both would move."""
    global _held, _opening, _changed
    _held, _opening, _changed = [], set(), threading.Condition()


os.register_at_fork(after_in_child=_forget)
