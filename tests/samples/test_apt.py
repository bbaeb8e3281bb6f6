"""Debian's packages are fetched with apt, with no administrator's rights, and refused if they are others."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import pytest

from brightspark import samples
from brightspark.core.errors import StorageError
from brightspark.samples import catalogue

FILE = "speech_1.0-1_all.deb"
needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this machine has no apt-get")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of its own with one package, the only one that apt knows of; the machine's lists are empty."""
    content = b"what a package holds"
    digest = hashlib.sha256(content).hexdigest()
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / FILE).write_bytes(content)
    (folder / "Packages").write_text(
        "Package: speech\nVersion: 1.0-1\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\n"
        f"Description: speech\nFilename: ./{FILE}\nSize: {len(content)}\nSHA256: {digest}\n"
    )
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{tmp_path}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
        f'Dir::State::Lists "{tmp_path}/lists";\nDir::Cache "{tmp_path}/cache";\n'
    )
    sample = dataclasses.replace(
        samples.CATALOGUE["asterisk-texts"], package="speech", version="1.0-1", file_name=FILE, sha256=digest
    )
    monkeypatch.setitem(catalogue.CATALOGUE, "speech", sample)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "brightspark"))
    return folder


@needs_apt
def test_a_package_that_the_machine_has_no_list_of_is_fetched(registry: Path) -> None:
    fetched = samples.fetch("speech")
    assert fetched.name == FILE
    assert fetched.read_bytes() == (registry / FILE).read_bytes()
    assert sorted(path.name for path in fetched.parent.iterdir()) == [f".{FILE}.lock", FILE]
    shutil.rmtree(registry)
    assert samples.fetch("speech") == fetched


@needs_apt
@pytest.mark.usefixtures("registry")
def test_another_file_than_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(
        catalogue.CATALOGUE, "speech", dataclasses.replace(samples.CATALOGUE["speech"], sha256="0" * 64)
    )
    with pytest.raises(StorageError, match=r"is not the file that brightspark pins.*which registry your apt is set to"):
        samples.fetch("speech")
    assert not list((tmp_path / "brightspark").rglob("*.deb"))


@needs_apt
def test_a_version_that_the_registry_has_not_is_named(registry: Path) -> None:
    (registry / "Packages").write_text((registry / "Packages").read_text().replace("1.0-1", "1.0-2", 1))
    with pytest.raises(StorageError, match=rf"apt could not bring speech 1\.0-1: E: Version .*, or put {FILE} into"):
        samples.fetch("speech")


@needs_apt
@pytest.mark.usefixtures("registry")
def test_without_a_network_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb [trusted=yes] http://127.0.0.1:9/debian ./\n")  # nobody listens there
    with pytest.raises(StorageError, match=r"No registry could be reached for speech 1\.0-1"):
        samples.fetch("speech")


@pytest.mark.usefixtures("registry")
def test_without_apt_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        StorageError, match=rf"has no apt-get .*run `apt-get download speech=1\.0-1`, then put {FILE} into"
    ):
        samples.fetch("speech")
