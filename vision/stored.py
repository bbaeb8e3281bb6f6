"""Files of which a failure of their storage is told from damage in them. Knows no torch and no Spark."""

from __future__ import annotations

import errno
import math
from typing import Protocol

from brightspark.core.errors import BrightsparkError, InputError, StorageError, one_line
from brightspark.core.storage import Storage

_LASTING = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL})


class Readable(Protocol):
    """What is used of a file."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Goes to a place."""

    def tell(self) -> int:
        """Where it stands."""

    def close(self) -> None:
        """Closes it."""


class StoredFile:
    """A file as libraries read it: what its storage raises in mid-file is a StorageError."""

    def __init__(self, file: Readable) -> None:
        self._read = file.read
        self.seek, self.tell, self.close = file.seek, file.tell, file.close
        self.left = math.inf
        """Bytes that may still be asked for: lengths that a damaged file states would fill the memory."""
        self.held: bytes | bytearray = getattr(file, "held", b"")
        """What of it lies in memory."""

    def read(self, size: int = -1, /) -> bytes:
        """As every file's. Raises InputError for more than is `left`."""
        if self.left < math.inf and not 0 <= size <= self.left:
            raise InputError(f"it wants {size:,} bytes at once, where {self.left:,} are allowed")
        self.left -= size
        try:
            return self._read(size)
        except (BrightsparkError, MemoryError):
            raise
        except Exception as error:
            raise StorageError(f"the storage failed in mid-file: {one_line(error)}") from error


def open_stored(storage: Storage, path: str) -> StoredFile:
    """Opens a file to read parts of it; whatever fails is a StorageError."""
    try:
        return StoredFile(storage.open(path, whole=False))
    except StorageError:
        raise
    except Exception as error:  # a client library's own
        raise StorageError(f"cannot open {path}: {one_line(error)}") from error


def may_pass(error: BaseException) -> bool:
    """Whether a failure is of a storage that may answer the next time: a timeout, and no file that is not there."""
    cause = error.__cause__
    if not isinstance(error, StorageError) or cause is None:  # core.storage's own words, for what is or is allowed
        return False
    lasting = isinstance(cause, OSError) and cause.errno in _LASTING
    return not lasting and not isinstance(cause, (ImportError, TypeError, ValueError))
