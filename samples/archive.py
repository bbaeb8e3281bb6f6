"""Reading members of a wheel without installing it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from brightspark.core.errors import StorageError


def members(archive: Path, pattern: str, *, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Name (its last part only) and contents of every member whose whole name matches `pattern`, by name.

    Only the last part of a name is given out, so that no member can be written outside the folder it is meant for.

    Raises:
        StorageError: no member matches, or one is larger than `max_bytes` uncompressed.
    """
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if re.fullmatch(pattern, name))
        if not names:
            raise StorageError(f"{archive.name} holds nothing that matches {pattern!r}.")
        for name in names:
            with opened.open(name) as file:
                # One byte more than allowed shows a member that is larger than its header says.
                content = file.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise StorageError(f"{name} in {archive.name} is larger than the {max_bytes:,} bytes that are read.")
            yield PurePosixPath(name).name, content
