"""Reading members of a wheel (zip) or of a source distribution (tar) without installing or unpacking it."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from brightspark.core.errors import StorageError


def members(archive: Path, pattern: str, *, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Name (its last part only) and contents of every member whose whole name matches `pattern`.

    Only the last part of a name is given out, so that no member can be written outside the folder it is meant for. A
    wheel's members come by name, a source distribution's in the order in which they lie in it.

    Raises:
        StorageError: no member matches, one is larger than `max_bytes` uncompressed, or one of a tar file is a link,
            a device, or leads outside the archive by its name.
    """
    matching = _in_zip if archive.suffix == ".whl" else _in_tar
    found = False
    for name, file in matching(archive, pattern):
        found = True
        with file:
            # One byte more than allowed shows a member that is larger than its header says.
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise StorageError(f"{name} in {archive.name} is larger than the {max_bytes:,} bytes that are read.")
        yield PurePosixPath(name).name, content
    if not found:
        raise StorageError(f"{archive.name} holds nothing that matches {pattern!r}.")


def _in_zip(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(name for name in opened.namelist() if re.fullmatch(pattern, name)):
            yield name, opened.open(name)


def _in_tar(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    # As a stream: each member once and forwards, because a compressed file cannot be sought in cheaply.
    with tarfile.open(archive, "r|*") as opened:
        for member in opened:
            if not re.fullmatch(pattern, member.name):
                continue
            path = PurePosixPath(member.name)
            file = opened.extractfile(member) if member.isreg() else None
            if file is None or path.is_absolute() or ".." in path.parts:
                raise StorageError(
                    f"{member.name} in {archive.name} is a link, a device or a path that leads outside: it is refused."
                )
            yield member.name, file
