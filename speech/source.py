"""A file as libsndfile reads it. Knows no torch and no Spark."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from brightspark.core.errors import BrightsparkError, StorageError, one_line


class Source:
    """A file, with other bytes in place of its first ones where those would mislead libsndfile.

    What the storage raises in mid-file is kept until `check`: libsndfile calls from C, where exceptions end nowhere.
    """

    def __init__(self, file: BinaryIO, *, head: bytes = b"", skip: int = 0) -> None:
        """`head` stands for the first `skip` bytes of the file."""
        self._file, self._head, self._shift = file, head, len(head) - skip
        self._at, self._file_at = 0, -1
        self._failure: BaseException | None = None
        self.size = file.seek(0, io.SEEK_END) + self._shift

    def check(self) -> None:
        """Raises StorageError if the storage has failed meanwhile."""
        failure = self._failure
        if failure is None:
            return
        if isinstance(failure, (BrightsparkError, MemoryError)) or not isinstance(failure, Exception):
            raise failure
        raise StorageError(f"the storage failed in mid-file: {one_line(failure)}") from failure

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place; where a damaged header leads before the beginning, it stays where it is."""
        wanted = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = wanted if wanted >= 0 else self._at
        return self._at

    def tell(self) -> int:
        """Where it stands."""
        return self._at

    def read(self, size: int) -> bytes:
        """The next bytes, for who is no C. Raises StorageError where the storage fails."""
        buffer = bytearray(size)
        done = self.readinto(memoryview(buffer))
        self.check()
        return bytes(buffer[:done])

    def readinto(self, buffer: Any) -> int:
        """The next bytes, as many as go into the buffer; fewer at the end, and where the storage fails."""
        done = 0
        try:
            while done < len(buffer) and (data := self._some(len(buffer) - done)):
                buffer[done : done + len(data)] = data
                done += len(data)
        except BaseException as error:
            self._failure = error
        return done

    def _some(self, size: int) -> bytes:
        if self._at < len(self._head):
            data = self._head[self._at : self._at + size]
        else:
            place = self._at - self._shift
            if place != self._file_at:
                self._file.seek(place)
            data = self._file.read(size)
            self._file_at = place + len(data)
        self._at += len(data)
        return data
