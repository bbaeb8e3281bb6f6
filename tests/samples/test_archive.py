"""Archives are read member by member: nothing hostile in them is written, run or decompressed without a bound."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from brightspark import samples
from brightspark.core.errors import StorageError
from brightspark.samples import archive, catalogue

HOSTILE: dict[str, Callable[[tarfile.TarInfo], None]] = {
    "symbolic link": lambda member: setattr(member, "type", tarfile.SYMTYPE),
    "hard link": lambda member: setattr(member, "type", tarfile.LNKTYPE),
    "device": lambda member: setattr(member, "type", tarfile.CHRTYPE),
    "pipe": lambda member: setattr(member, "type", tarfile.FIFOTYPE),
    "folder": lambda member: setattr(member, "type", tarfile.DIRTYPE),
    "absolute path": lambda member: setattr(member, "name", "/data/a.txt"),
    "path to a parent": lambda member: setattr(member, "name", "data/../../a.txt"),
}


def pack(path: Path, files: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda member: None) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.linkname = len(content), "/etc/passwd"
            change(member)
            packed.addfile(member, io.BytesIO(content))
    return path


def test_members_of_a_tar_are_matched_bounded_and_named_by_their_last_part(tmp_path: Path) -> None:
    packed = pack(
        tmp_path / "a.tar.gz", {"data/b.txt": b"b", "setup.py": b"x", "data/a.txt": b"a", "bomb": bytes(10**6)}
    )
    assert list(archive.members(packed, r"data/\w\.txt", max_bytes=1)) == [("b.txt", b"b"), ("a.txt", b"a")]
    with pytest.raises(StorageError, match=r"bomb in a\.tar\.gz is larger than the 999,999 bytes"):
        list(archive.members(packed, "bomb", max_bytes=999_999))
    with pytest.raises(StorageError, match="holds nothing"):
        list(archive.members(packed, "none", max_bytes=1))


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_member_of_a_tar_is_refused(what: str, tmp_path: Path) -> None:
    packed = pack(tmp_path / "a.tar.gz", {"data/a.txt": b""}, HOSTILE[what])
    with pytest.raises(StorageError, match=r"a\.txt in a\.tar\.gz is a link, a device or a path that leads outside"):
        list(archive.members(packed, r".*a\.txt", max_bytes=10))


def pack_deb(
    path: Path, files: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda member: None
) -> Path:
    """A Debian package of these files; its control part has an odd length."""
    data = pack(path.with_suffix(".tar.gz"), files, change).read_bytes()
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.gz": data}
    packed = b"!<arch>\n"
    for name, content in parts.items():
        packed += f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        packed += content + b"\n" * (len(content) % 2)
    path.write_bytes(packed)
    return path


def test_members_of_a_debian_package_are_the_files_that_it_would_install(tmp_path: Path) -> None:
    packed = pack_deb(tmp_path / "a.deb", {"./data/b.txt": b"b", "./data/a.txt": b"a", "./bomb": bytes(10**6)})
    assert list(archive.members(packed, r"\./data/\w\.txt", max_bytes=1)) == [("b.txt", b"b"), ("a.txt", b"a")]
    with pytest.raises(StorageError, match=r"bomb in a\.deb is larger than the 999,999 bytes"):
        list(archive.members(packed, r"\./bomb", max_bytes=999_999))


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_member_of_a_debian_package_is_refused(what: str, tmp_path: Path) -> None:
    packed = pack_deb(tmp_path / "a.deb", {"data/a.txt": b""}, HOSTILE[what])
    with pytest.raises(StorageError, match=r"a\.txt in a\.deb is a link, a device or a path that leads outside"):
        list(archive.members(packed, r".*a\.txt", max_bytes=10))


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", b"!<arch>\n" + b"x" * 60, b"PK\3\4" + b"x" * 100])
def test_what_is_no_debian_package_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_bytes(content)
    with pytest.raises(StorageError, match=r"a\.deb is not a Debian package"):
        list(archive.members(tmp_path / "a.deb", ".*", max_bytes=10))


@pytest.fixture
def hostile_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source distribution in a registry of its own; its setup.py would leave a mark."""
    mark = tmp_path / "mark"
    run = f"open({str(mark)!r}, 'w')\nfrom setuptools import setup\nsetup(name='hostile', version='1.0')\n"
    (tmp_path / "registry").mkdir()
    packed = pack(tmp_path / "registry" / "hostile-1.0.tar.gz", {"hostile-1.0/setup.py": run.encode()})
    sample = dataclasses.replace(
        samples.CATALOGUE["foolbox"],
        package="hostile",
        version="1.0",
        file_name=packed.name,
        sha256=hashlib.sha256(packed.read_bytes()).hexdigest(),
    )
    monkeypatch.setitem(catalogue.CATALOGUE, "hostile", sample)
    for name, value in {
        "BRIGHTSPARK_CACHE": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(packed.parent),
    }.items():
        monkeypatch.setenv(name, value)
    return mark


def test_a_source_distribution_is_fetched_without_running_it(hostile_package: Path) -> None:
    fetched = samples.fetch("hostile")
    assert [name for name, _ in archive.members(fetched, ".*", max_bytes=1000)] == ["setup.py"]
    assert not hostile_package.exists()


def test_a_changed_source_distribution_is_refused(hostile_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = dataclasses.replace(samples.CATALOGUE["hostile"], sha256="0" * 64)
    monkeypatch.setitem(catalogue.CATALOGUE, "hostile", changed)
    with pytest.raises(StorageError, match="is not the file that brightspark pins"):
        samples.fetch("hostile")
    assert not hostile_package.exists()
    assert not list((hostile_package.parent / "cache").rglob("*.gz"))
