"""Reading members of a wheel (zip), a source distribution (tar) or a Debian package without installing any of it."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from brightspark.core.errors import StorageError

# A Debian package is an `ar` archive (deb(5), ar(5)): this line, then its members, each behind a header of 60 bytes.
_AR = b"!<arch>\n"
_AR_HEADER = 60  # bytes: name (16), time, owner, group, mode, size in decimal digits (from 48 on, 10), "`\n"
_AR_NAME, _AR_SIZE, _AR_END = slice(16), slice(48, 58), slice(58, 60)


def members(archive: Path, pattern: str, *, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Name (its last part only) and contents of every member whose whole name matches `pattern`.

    Only the last part of a name is given out, so that no member can be written outside the folder it is meant for; or
    what the pattern's group `name` takes of it, which must not let `..` in. A
    wheel's members come by name, others in the order in which they lie in it. Those of a Debian package are the files
    that it would install; their names begin with `./`.

    Raises:
        StorageError: no member matches, one is larger than `max_bytes` uncompressed, or one of a tar file is a link,
            a device, or leads outside the archive by its name; or a Debian package is none.
    """
    matching = {".whl": _in_zip, ".deb": _in_deb}.get(archive.suffix, _in_tar)
    found = False
    for name, file in matching(archive, pattern):
        found = True
        with file:
            # One byte more than allowed shows a member that is larger than its header says.
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise StorageError(f"{name} in {archive.name} is larger than the {max_bytes:,} bytes that are read.")
        match = re.fullmatch(pattern, name)
        yield (match and match.groupdict().get("name")) or PurePosixPath(name).name, content
    if not found:
        raise StorageError(f"{archive.name} holds nothing that matches {pattern!r}.")


def _in_zip(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(name for name in opened.namelist() if re.fullmatch(pattern, name)):
            yield name, opened.open(name)


def _in_tar(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    with archive.open("rb") as file:
        yield from _in_stream(file, archive, pattern)


def _in_deb(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    with archive.open("rb") as file:
        yield from _in_stream(io.BytesIO(_data_of_deb(file, archive)), archive, pattern)


def _data_of_deb(file: IO[bytes], archive: Path) -> bytes:
    """The tar file, still compressed, of what the package would install."""
    if file.read(len(_AR)) == _AR:
        while len(header := file.read(_AR_HEADER)) == _AR_HEADER and header[_AR_END] == b"`\n":
            size = int(header[_AR_SIZE])
            if header[_AR_NAME].startswith(b"data.tar"):
                return file.read(size)
            file.seek(size + size % 2, io.SEEK_CUR)  # members begin at even places
    raise StorageError(f"{archive.name} is not a Debian package: it holds no data.tar.")


def _in_stream(file: IO[bytes], archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    # As a stream: each member once and forwards, because a compressed file cannot be sought in cheaply.
    with tarfile.open(fileobj=file, mode="r|*") as opened:
        for member in opened:
            if not re.fullmatch(pattern, member.name):
                continue
            path = PurePosixPath(member.name)
            content = opened.extractfile(member) if member.isreg() else None
            if content is None or path.is_absolute() or ".." in path.parts:
                raise StorageError(
                    f"{member.name} in {archive.name} is a link, a device or a path that leads outside: it is refused."
                )
            yield member.name, content
