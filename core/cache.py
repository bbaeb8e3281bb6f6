"""Where a node keeps the artifacts it has fetched: each once, in a folder named by its digest, whoever asks first."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from brightspark.core.artifact import check_name, verify
from brightspark.core.errors import ArtifactError, StorageError
from brightspark.core.storage import Storage, file_system, split_scheme

CACHE_VARIABLE = "BRIGHTSPARK_CACHE"


def cache_root() -> Path:
    """The folder that brightspark caches in: `$BRIGHTSPARK_CACHE`, else `~/.cache/brightspark`.

    Where the home folder cannot be written (executors often run without one), a folder of this user's in the
    system's temporary folder.

    Raises StorageError where that one is somebody else's: they could put other weights into it.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).absolute()
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brightspark"
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root
    except (OSError, RuntimeError):  # RuntimeError: this user has no home folder
        pass
    shared = Path(tempfile.gettempdir()) / f"brightspark-{os.getuid()}"
    shared.mkdir(mode=0o700, exist_ok=True)
    if shared.is_symlink() or shared.stat().st_uid != os.getuid():
        raise StorageError(f"{shared} belongs to another user; set {CACHE_VARIABLE} to a folder that you own")
    return shared


def keep(address: str, digest: str, files: Mapping[str, str]) -> Path:
    """The artifact's folder in this node's cache, fetched from `address` if it is not there yet.

    Raises ArtifactError where the files at `address` are gone or are not those that `files` gives the sha256 of.
    """
    return _once(digest, lambda folder: _fetch(address, folder, files), files)


def unpack(archive: Path, digest: str, files: Mapping[str, str]) -> Path:
    """The artifact's folder in this node's cache, unpacked from an archive made by `pack` if it is not there yet."""
    return _once(digest, lambda folder: _extract(archive, folder, files), files)


def pack(digest: str) -> Path:
    """An archive of a cached artifact, to be sent to other nodes; made once. Weights do not shrink: it only stores."""
    folder = _folder(digest)
    archive = folder.with_name(archive_name(digest))
    with file_lock(archive):
        if not archive.exists():
            partial = archive.with_name(f".{archive.name}-{os.getpid()}")
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as made:
                for file in sorted(folder.rglob("*")):
                    if file.is_file():
                        made.write(file, file.relative_to(folder).as_posix())
            partial.rename(archive)
    return archive


def archive_name(digest: str) -> str:
    """The file name under which an artifact is sent to the executors."""
    return f"brightspark-{digest}.zip"


def cached(digest: str) -> Path | None:
    """The artifact's folder in this node's cache, if it is there whole."""
    folder = _folder(digest)
    return folder if folder.is_dir() else None


def _folder(digest: str) -> Path:
    return cache_root() / "artifacts" / digest


def _once(digest: str, fill: Callable[[Path], None], files: Mapping[str, str]) -> Path:
    folder = _folder(digest)
    if folder.is_dir():
        return folder
    with file_lock(folder):
        if not folder.is_dir():  # another worker may have fetched it while this one waited
            for left in folder.parent.glob(f".{digest}-*"):  # by a process that was killed: this one holds the lock
                shutil.rmtree(left, ignore_errors=True)
            for name in files:
                check_name(name)
            partial = Path(tempfile.mkdtemp(prefix=f".{digest}-", dir=folder.parent))
            try:
                fill(partial)
                verify(partial, files)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


@contextmanager
def file_lock(target: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock beside `target`, alone among processes; the kernel frees it when its process ends, however.

    Raises StorageError where the folder cannot be written, BlockingIOError where another holds it and `wait` is off.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.with_name(f".{target.name}.lock").open("w")
    except OSError as error:
        raise StorageError(
            f"the cache {target.parent} cannot be written ({error.strerror}); set {CACHE_VARIABLE} to one that you own"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _fetch(address: str, folder: Path, files: Mapping[str, str]) -> None:
    scheme, plain = Storage().check(address)
    try:
        for name in files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if scheme == "file":
                shutil.copyfile(Path(plain) / name, target)
            else:
                file_system(address).get_file(f"{address.rstrip('/')}/{name}", str(target))
    except OSError as error:
        raise ArtifactError(f"cannot fetch the model from {address}: {error}") from error


def _extract(archive: Path, folder: Path, files: Mapping[str, str]) -> None:
    with zipfile.ZipFile(archive) as opened:
        for name in files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(name) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def is_local(address: str) -> bool:
    """Whether an address is a folder of this machine, which other nodes may not see."""
    return split_scheme(address)[0] == "file"
