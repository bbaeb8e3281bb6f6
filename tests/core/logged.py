"""A file system that lies in a local folder and writes down each file that is fetched from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

SCHEME = "oss"  # an object store's scheme, so that it is allowed
BUCKET = "TOY_BUCKET"  # names the folder


class LoggedFileSystem(LocalFileSystem):
    protocol = (SCHEME,)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        path = str(path)
        return os.environ[BUCKET] + "/" + path.removeprefix(f"{SCHEME}://") if path.startswith(SCHEME) else path

    def get_file(self, rpath: str, lpath: str, **kwargs: Any) -> None:
        with Path(os.environ[BUCKET], f"fetched-{os.getpid()}").open("a") as log:
            log.write(f"{Path.cwd()} {rpath}\n")
        super().get_file(rpath, lpath, **kwargs)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        super().put_file(lpath, self._strip_protocol(rpath), **kwargs)


def fetched(bucket: Path) -> list[tuple[str, str]]:
    """The working folder of each process that fetched, and what."""
    lines = [line for file in bucket.glob("fetched-*") for line in file.read_text().splitlines()]
    return [(line.split(" ")[0], line.split(" ", 1)[1]) for line in lines]


fsspec.register_implementation(SCHEME, LoggedFileSystem, clobber=True)
