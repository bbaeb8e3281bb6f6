"""Where samples stay: made beside, renamed into place, by one process at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from brightspark.core.cache import cache_root, file_lock


def folder() -> Path:
    """`samples` in brightspark's own cache. It need not exist yet."""
    return cache_root() / "samples"


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """The path `name` in the cache, held by this process alone until the block ends; others wait.

    The lock goes with the process that holds it: one that was killed leaves nothing to clean up.

    Raises:
        StorageError: the cache cannot be written.
    """
    target = folder() / name
    with file_lock(target):
        yield target


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """An empty folder on `target`'s file system, so that what is made in it can be renamed into place."""
    path = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def made(name: str, write: Callable[[Path], None]) -> Path:
    """The folder `name` in the cache, made by `write` if it is not there yet; `write` makes the folder it is given.

    Raises:
        StorageError: the cache cannot be written.
    """
    with locked(name) as target:
        if not target.is_dir():
            with staging(target) as folder:
                write(folder / name)
                (folder / name).replace(target)
    return target
