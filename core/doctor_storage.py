"""Whether this process can read and write paths, and has room where brightspark caches; for driver and workers."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brightspark.core.cache import cache_root
from brightspark.core.errors import StorageError, one_line
from brightspark.core.storage import Storage, file_system, list_folder


def can_read(path: str) -> str | None:
    """None where a folder can be listed or a file be opened and read, else why not."""
    storage = Storage()
    try:
        storage.check(path)
        if file_system(path).isfile(path):
            with storage.open(path, whole=False) as file:
                file.read(1)
        else:
            list_folder(storage, path)
    except StorageError as error:
        return str(error)
    except Exception as error:  # each store's client raises its own
        return one_line(error)
    return None


def can_write(folder: str) -> str | None:
    """None where a file can be made and deleted in a folder, else why not.

    Of a local folder that is not there, the nearest one above it that is; an object store has no folders.
    """
    name = f".brightspark-{uuid.uuid4().hex}"
    try:
        scheme, plain = Storage().check(folder)
        if scheme == "file":
            folder = str(existing(Path(plain)))
        file = f"{folder.rstrip('/')}/{name}"
        system = file_system(folder)
        system.pipe_file(file, b"brightspark")
        system.rm_file(file)
    except StorageError as error:
        return str(error)
    except Exception as error:  # each store's client raises its own
        return one_line(error).replace(f"/{name}", "")  # the same words on every worker
    return None


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.exists())


def disk() -> list[dict[str, Any]]:
    """The folders that brightspark and Spark write on a node: `name`, `path`, bytes `free`, and `error` or None."""
    return [_room("cache", cache_root), _room("temp folder", lambda: Path(tempfile.gettempdir()))]


def _room(name: str, find: Callable[[], Path]) -> dict[str, Any]:
    try:
        folder = find()
        error = can_write(str(folder))
        free = shutil.disk_usage(existing(folder)).free
    except OSError as caught:
        return {"name": name, "path": "", "free": 0, "error": str(caught)}
    return {"name": name, "path": str(folder), "free": free, "error": error}
