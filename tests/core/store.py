"""An object store in a folder: what a test puts behind `oss://`, with a log of every file that is fetched from it.

Its root and its log come from the environment, so that processes which a test starts see the same store.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import fsspec
from fsspec.spec import AbstractFileSystem

ROOT_VARIABLE = "BRIGHTSPARK_TEST_STORE"


class FolderStore(AbstractFileSystem):
    """`oss://bucket/key` is the file `bucket/key` below the root. It cannot rename, and has no links."""

    protocol = "oss"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.root = Path(os.environ[ROOT_VARIABLE])

    @classmethod
    def _get_kwargs_from_urls(cls, path: str) -> dict[str, Any]:
        return {"bucket": path.partition("://")[2].partition("/")[0]}

    def _file(self, path: str) -> Path:
        return self.root / self._strip_protocol(path)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        file = self._file(path)
        found = file.stat()
        what = "directory" if file.is_dir() else "file"
        return {"name": self._strip_protocol(path), "type": what, "size": found.st_size, "LastModified": found.st_mtime}

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        file = self._file(path)
        names = [f"{self._strip_protocol(path)}/{child.name}" for child in file.iterdir()] if file.is_dir() else [path]
        return [self.info(name) if detail else name for name in names]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return self._file(path).open(mode)

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        with (self.root / "fetched.log").open("a") as log:
            log.write(f"{os.getpid()} {self._strip_protocol(rpath)}\n")
        shutil.copyfile(self._file(rpath), lpath)

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        shutil.copyfile(lpath, self._file(rpath))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._file(path).mkdir(parents=True, exist_ok=exist_ok)

    def rm_file(self, path: str) -> None:
        self._file(path).unlink()

    def fetched(self) -> list[str]:
        """The keys that were fetched, in order, by whatever process."""
        return [line.split()[1] for line in (self.root / "fetched.log").read_text().splitlines()]


def register() -> None:
    """Makes this process see the store."""
    fsspec.register_implementation("oss", FolderStore, clobber=True)
