"""Opens paths for reading: only allowed storage, only below a base if one is set, and only so many bytes."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from brightspark.core.errors import SettingError, StorageError, did_you_mean

FILE_SYSTEMS = frozenset({"file", "hdfs", "dbfs"})
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "r2"})
SCHEMES = FILE_SYSTEMS | OBJECT_STORES
MAX_FILE_BYTES = 256 << 20

_log = logging.getLogger(__name__)

_SECRET = re.compile(
    r"secret|passw|passphrase|pwd|token|credential|key($|_)|^sas|signature|private|connection_string", re.IGNORECASE
)
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*):")


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Which paths may be opened, and how. It travels to the workers, so it holds no secret.

    Raises SettingError for options that look like credentials: those come from where they are on the worker, its
    environment, its profile or its instance role.
    """

    schemes: frozenset[str] = SCHEMES
    """The URI schemes that are opened; a path without one is a local file. `http` and `https` only if named here."""

    base: str | None = None
    """A folder that every path must be in, after `..` and links are resolved."""

    max_bytes: int = MAX_FILE_BYTES
    """A larger file is an error, found before it is read."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """What fsspec's file system gets (`profile`, `anon`, `endpoint_url`…)."""

    def __post_init__(self) -> None:
        check_options(self.options)
        if self.max_bytes < 1:
            raise SettingError(f"max_bytes={self.max_bytes} must be at least 1")

    def open(self, path: str, *, whole: bool = True) -> BinaryIO:
        """Opens a file for reading bytes, by range where its storage allows.

        `whole=False` is for who reads parts of a file, a video's: then its size does not matter.
        Raises StorageError where the path is not allowed, not there, not a file, or larger than `max_bytes`.
        """
        scheme, plain = self.check(path)
        try:
            if scheme == "file":
                opened: BinaryIO = _open_regular(plain)
                size = os.fstat(opened.fileno()).st_size
            else:
                opened = file_system(path, self.options).open(path, "rb")
                size = getattr(opened, "size", None) or 0
        except StorageError:
            raise
        except FileNotFoundError:
            raise StorageError(f"there is no file {path}") from None
        except PermissionError:
            raise StorageError(f"no permission to read {path}") from None
        except OSError as error:
            raise StorageError(f"cannot open {path}: {error.strerror or error}") from error
        if whole and size > self.max_bytes:
            opened.close()
            raise StorageError(f"{path} has {size:,} bytes, more than the {self.max_bytes:,} that are allowed")
        return opened

    def read(self, path: str) -> bytes:
        """A whole file, which is bounded in size even where its storage does not tell it beforehand."""
        with self.open(path) as file:
            data = file.read(self.max_bytes + 1)
        if len(data) > self.max_bytes:
            raise StorageError(f"{path} has more than the {self.max_bytes:,} bytes that are allowed")
        return data

    def check(self, path: str) -> tuple[str, str]:
        """The scheme of a path, and the path without it where that is `file`.

        Raises StorageError for a scheme that is not allowed and for a path outside the base.
        """
        if "::" in path:
            raise StorageError(f"{path!r} chains storage systems by '::', which is not allowed")
        scheme, plain = split_scheme(path)
        if scheme not in self.schemes:
            raise StorageError(
                f"the scheme {scheme!r} of {path!r} is not allowed; {did_you_mean(scheme, sorted(self.schemes))}"
            )
        if "\0" in path:
            raise StorageError(f"{path!r} holds a zero byte")
        if self.base is not None and not is_inside(path, self.base):
            raise StorageError(f"{path!r} is outside {self.base!r}")
        return scheme, plain


def _open_regular(path: str) -> BinaryIO:
    """Opens a local file, but no folder, device or pipe: those may never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - once a record: Path costs more than the call
        raise StorageError(f"{path} is a folder or a device, not a file")
    return open(path, "rb")  # noqa: PTH123


def check_options(options: Mapping[str, Any]) -> None:
    """Raises SettingError for storage options that are, or hold, or look like, a credential's value."""
    if not isinstance(options, Mapping):
        raise SettingError(f"storage options {options!r} must be a mapping of names to values")
    for name, value in options.items():
        if _SECRET.search(name) or (isinstance(value, str) and re.match(r"[^/]*//[^/]*:[^/]*@", value)):
            raise SettingError(
                f"the storage option {name!r} looks like a credential, and plans and logs would show it; "
                "let the workers find it in their environment, a profile or an instance role"
            )
        if isinstance(value, Mapping):
            check_options(value)


def split_scheme(path: str) -> tuple[str, str]:
    """The scheme of a path and the rest; the scheme of a plain path is `file`.

    >>> split_scheme("s3a://bucket/cat.jpg")
    ('s3a', 'bucket/cat.jpg')
    >>> split_scheme("file:///data/cat.jpg"), split_scheme("/data/1:2.jpg")
    (('file', '/data/cat.jpg'), ('file', '/data/1:2.jpg'))
    """
    match = _SCHEME.match(path)
    if match is None:
        return "file", path
    scheme, rest = match.group(1).lower(), path[match.end() :]
    if scheme == "file":
        return scheme, re.sub(r"^//[^/]*(?=/)", "", rest)
    return scheme, rest.removeprefix("//")


def absolute(path: str) -> str:
    """A local path from the root, since workers have working folders of their own; a URI as it is."""
    scheme, plain = split_scheme(path)
    return str(Path(plain).expanduser().absolute()) if scheme == "file" else path


_systems: dict[tuple[str, str, str, int], Any] = {}


def file_system(path: str, options: Mapping[str, Any] | None = None) -> Any:
    """fsspec's file system for a path, one a process, host (name node, account, bucket) and set of options.

    Raises StorageError that names what to install where its package is missing.
    """
    scheme, plain = split_scheme(path)
    host = "" if scheme == "file" else plain.partition("/")[0]
    key = (scheme, host, repr(sorted((options or {}).items())), os.getpid())
    if key not in _systems:
        _systems[key] = _connected("/" if scheme == "file" else path, options or {})
    return _systems[key]


def _connected(path: str, options: Mapping[str, Any]) -> Any:
    from fsspec.core import url_to_fs

    try:
        # Listings change between one action and the next: a cached one would hide files, or invent them.
        return url_to_fs(path, use_listings_cache=False, skip_instance_cache=True, **options)[0]
    except (ImportError, ValueError, TypeError) as error:
        raise StorageError(f"cannot open {path} here: {error}") from error


@dataclass(frozen=True)
class Entry:
    """A file as a listing shows it: `path` with its scheme (without one if local), bytes, seconds since 1970."""

    path: str
    size: int
    modified: float | None


def walk(storage: Storage, folder: str) -> Iterator[tuple[list[str], list[Entry]]]:
    """The subfolders and files of a folder, then of each of its subfolders, one folder at a time and in order of name.

    Raises StorageError for a folder that is not there or cannot be listed: files would be missing silently.
    """
    todo = [folder]
    while todo:
        folders, files = list_folder(storage, todo.pop())
        yield folders, files
        todo.extend(reversed(folders))


def list_folder(storage: Storage, folder: str) -> tuple[list[str], list[Entry]]:
    """The subfolders and the files of one folder, by name; hidden ones (`.x`, `_x`) are left out as Spark does.

    Links are what they lead to. One that leads nowhere is a file, whose opening says so; one that leads back to a
    folder on its own path is left out, or a walk would never end. So is, with a base, a link to a folder outside of
    it, which the log tells; a link to a file there stays, and opening it says why not.
    """
    scheme, plain = storage.check(folder)
    target = str(Path(plain).absolute()) if scheme == "file" else folder.rstrip("/")
    system = file_system(folder, storage.options if scheme != "file" else None)
    try:
        found = system.ls(target, detail=True)
        # A file system lists a file as the file itself.
        if len(found) == 1 and found[0]["type"] == "file" and system.isfile(target):
            raise NotADirectoryError
    except FileNotFoundError:
        raise StorageError(f"there is no folder {folder}") from None
    except NotADirectoryError:
        raise StorageError(f"{folder} is a file, not a folder") from None
    except OSError as error:
        raise StorageError(f"cannot list {folder}: {error.strerror or error}") from error
    folders, files = [], []
    for info in sorted(found, key=lambda info: str(info["name"])):
        name = str(info["name"]).rstrip("/").rpartition("/")[2]
        # The path is the folder's and the name: a file system's own names lack the host.
        path = f"{target.rstrip('/')}/{name}"
        if name.startswith((".", "_")) or str(info["name"]).rstrip("/") == plain.rstrip("/"):
            continue
        what = _followed(path, info) if scheme == "file" and info.get("islink") else info
        if what["type"] == "directory":
            if what is not info and storage.base is not None and not is_inside(path, storage.base):
                _log.warning("%s is left out: it leads to a folder outside of %s", path, storage.base)
                continue
            folders.append(path)
        elif what["type"] == "file":
            files.append(Entry(path, int(what.get("size") or 0), _seconds(what)))
    return folders, files


def _followed(path: str, link: Mapping[str, Any]) -> Mapping[str, Any]:
    """What fsspec would say of a local link's target."""
    if os.path.realpath(path) in {os.path.realpath(above) for above in Path(path).parents}:
        return {**link, "type": "other"}
    try:
        target: Mapping[str, Any] = file_system(path).info(path)
    except OSError:
        return {**link, "type": "file"}
    return target


def _seconds(info: Mapping[str, Any]) -> float | None:
    """When a file was changed: each file system has another name and type for it."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "modification_time", "created"):
        value = info.get(name)
        if value is not None:
            return float(value.timestamp()) if hasattr(value, "timestamp") else _number(value)
    return None


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def is_inside(path: str, base: str) -> bool:
    """Whether a path is a folder or in it, after `..` and, of local ones, links are resolved."""
    scheme, plain = split_scheme(path)
    base_scheme, base_plain = split_scheme(base)
    if scheme != base_scheme:
        return False
    if scheme == "file":
        plain, base_plain = os.path.realpath(plain), os.path.realpath(base_plain)
    else:
        plain, base_plain = os.path.normpath(plain), os.path.normpath(base_plain)
    return plain == base_plain or plain.startswith(base_plain.rstrip("/") + "/")


def remove_folder(folder: str) -> bool:
    """Deletes a folder and what is in it; whether there was one."""
    scheme, plain = Storage().check(folder)
    system = file_system(folder)
    target = str(Path(plain).absolute()) if scheme == "file" else folder
    if not system.exists(target):
        return False
    system.rm(target, recursive=True)
    return True
