"""Where samples stay: made beside, renamed into place, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brightspark.core.errors import StorageError


def folder() -> Path:
    """The cache: `$BRIGHTSPARK_CACHE/samples`, or else `~/.cache/brightspark/samples`. It need not exist yet."""
    base = os.environ.get("BRIGHTSPARK_CACHE")
    return (Path(base) if base else Path.home() / ".cache" / "brightspark") / "samples"


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """The path `name` in the cache, held by this process alone until the block ends; others wait.

    The lock goes with the process that holds it: one that was killed leaves nothing to clean up.

    Raises:
        StorageError: the cache cannot be written.
    """
    target = folder() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = target.with_name(f".{name}.lock").open("w")
    except OSError as error:
        raise StorageError(
            f"The samples' cache {target.parent} cannot be written ({error.strerror}). Set BRIGHTSPARK_CACHE to a "
            "folder that you own."
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield target


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """An empty folder on `target`'s file system, so that what is made in it can be renamed into place."""
    path = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
