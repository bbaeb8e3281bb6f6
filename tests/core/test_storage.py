"""Storage opens what is allowed, says in one sentence why it does not open the rest, and a walk always ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from brightspark.core.errors import SettingError, StorageError
from brightspark.core.storage import SCHEMES, Entry, Storage, file_system, list_folder, remove_folder, walk

MEMORY = SCHEMES | {"memory"}


@pytest.fixture
def memory() -> Iterator[str]:
    """A folder of fsspec's memory:// with two files and a subfolder."""
    system = fsspec.filesystem("memory")
    root = f"memory://{uuid.uuid4().hex}"
    for name in ("b.jpg", "a.jpg", "deep/c.jpg", "_hidden/d.jpg"):
        system.pipe(f"{root}/{name}", name.encode())
    yield root
    system.rm(root, recursive=True)


# What is opened


def test_local_paths_are_read_in_each_spelling(tmp_path: Path) -> None:
    file = tmp_path / "a b:c.txt"
    file.write_bytes(b"content")
    for path in (str(file), f"file:{file}", f"file://{file}", f"file://localhost{file}"):
        assert Storage().read(path) == b"content"


@pytest.mark.parametrize(
    "path", ["http://host/x", "https://host/x", "ftp://host/x", "memory://x", "data:,x", "zip://x"]
)
def test_other_schemes_are_refused(path: str) -> None:
    with pytest.raises(StorageError, match=rf"scheme '{path.partition(':')[0]}'.*not allowed"):
        Storage().open(path)


def test_a_mistyped_scheme_gets_a_hint() -> None:
    with pytest.raises(StorageError, match="did you mean 's3a'"):
        Storage().check("s3aa://bucket/x")


def test_http_is_allowed_only_if_named() -> None:
    assert Storage(schemes=frozenset({"https"})).check("https://host/x") == ("https", "host/x")
    with pytest.raises(StorageError, match="'http'"):
        Storage(schemes=frozenset({"https"})).check("http://host/x")


@pytest.mark.parametrize("path", ["zip://x::file:///etc/a.zip", "simplecache::s3://b/x", "file::/etc/passwd"])
def test_chained_storage_is_refused(path: str) -> None:
    with pytest.raises(StorageError, match="chains"):
        Storage(schemes=SCHEMES | {"zip", "simplecache"}).open(path)


def test_a_zero_byte_is_refused() -> None:
    with pytest.raises(StorageError, match="zero byte"):
        Storage().open("/tmp/a\0b")


def test_another_file_system_is_read_when_named(memory: str) -> None:
    assert Storage(schemes=MEMORY).read(f"{memory}/deep/c.jpg") == b"deep/c.jpg"
    with pytest.raises(StorageError, match=r"no file .*/none\.jpg"):
        Storage(schemes=MEMORY).open(f"{memory}/none.jpg")


def test_a_missing_package_is_named() -> None:
    with pytest.raises(StorageError, match="s3fs"):
        Storage().open("s3://bucket/x")


# Only below the base


def test_the_base_holds_through_dots_links_and_tildes(tmp_path: Path) -> None:
    base, other = tmp_path / "base", tmp_path / "base-of-another"
    for folder in (base, other):
        folder.mkdir()
        (folder / "x").write_bytes(b"x")
    (base / "link").symlink_to(other / "x")
    (tmp_path / "door").symlink_to(base)
    storage = Storage(base=str(base))
    assert storage.read(str(base / "x")) == b"x"
    assert storage.read(str(base / ".." / "base" / "x")) == b"x"
    assert storage.read(str(tmp_path / "door" / "x")) == b"x"
    outside = [other / "x", base / ".." / other.name / "x", base / "link", Path("/etc/passwd")]
    for path in outside:
        with pytest.raises(StorageError, match="outside"):
            storage.open(str(path))


def test_a_tilde_is_a_name_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage(base=str(tmp_path))
    for listed in ("~", "~root", "~/.."):
        with pytest.raises(StorageError, match="there is no folder"):
            list_folder(Storage(base=str(tmp_path.parent)), listed)
    with pytest.raises(StorageError, match="there is no file"):
        storage.open("~/x")


@pytest.mark.parametrize(
    "path", ["s3://bucket/base/../x", "s3://bucket/base2/x", "gs://bucket/base/x", "/bucket/base/x"]
)
def test_the_base_holds_in_an_object_store(path: str) -> None:
    storage = Storage(base="s3://bucket/base")
    assert storage.check("s3://bucket/base/x") == ("s3", "bucket/base/x")
    with pytest.raises(StorageError, match="outside"):
        storage.check(path)


# Only so many bytes, only files


def test_a_file_larger_than_allowed_is_not_read(tmp_path: Path, memory: str) -> None:
    (tmp_path / "x").write_bytes(b"12345678")
    assert Storage(max_bytes=8).read(str(tmp_path / "x")) == b"12345678"
    for path in (str(tmp_path / "x"), f"{memory}/deep/c.jpg"):
        with pytest.raises(StorageError, match="bytes, more than the 7"):
            Storage(max_bytes=7, schemes=MEMORY).open(path)


def test_a_file_that_grows_while_it_is_read_stays_bounded(tmp_path: Path) -> None:
    growing = Path("/proc/self/maps")  # says that it has 0 bytes, and has more
    assert growing.stat().st_size == 0
    with pytest.raises(StorageError, match="more than the 10"):
        Storage(max_bytes=10).read(str(growing))


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(StorageError, match="not a file"):
            Storage().open(str(path))


def test_a_vanished_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("gone", "broken"):
        with pytest.raises(StorageError, match=f"there is no file .*{name}"):
            Storage().open(str(tmp_path / name))
    with pytest.raises(StorageError, match=r"cannot open .*loop"):
        Storage().open(str(tmp_path / "loop"))


AS_NOBODY = """
import sys
from brightspark.core.errors import StorageError
from brightspark.core.storage import Storage, list_folder
for act in (Storage().open, lambda path: list_folder(Storage(), path)):
    try:
        act(sys.argv.pop(1))
    except StorageError as error:
        print(error)
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user")
def test_a_file_without_permission_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        folder.chmod(0o755)
        (folder / "closed").mkdir(mode=0o700)
        (folder / "secret").write_bytes(b"x")
        (folder / "secret").chmod(0o600)
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", AS_NOBODY]
        said = subprocess.check_output([*command, str(folder / "secret"), str(folder / "closed")], text=True)
    finally:
        shutil.rmtree(folder)
    assert said.splitlines() == [
        f"no permission to read {folder}/secret",
        f"cannot list {folder}/closed: Permission denied",
    ]


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"key": "AKIA"}, {"secret": "x"}, {"password": "x"}, {"aws_secret_access_key": "x"}, {"account_key": "x"},
        {"token": "x"}, {"sas_token": "x"}, {"connection_string": "AccountKey=x"}, {"apikey": "x"}, {"accessKey": "x"},
        {"endpoint_url": "https://user:pass@host"}, {"client_kwargs": {"aws_secret_access_key": "x"}},
    ],
)  # fmt: skip
def test_options_that_look_like_credentials_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="looks like a credential") as caught:
        Storage(options=options)
    assert "AKIA" not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_options_reach_the_file_system(memory: str) -> None:
    options = {"anon": True, "profile": "mine", "endpoint_url": "https://host:9000", "client_kwargs": {"region": "x"}}
    storage = Storage(schemes=MEMORY, options=options)
    assert storage.read(f"{memory}/a.jpg") == b"a.jpg"
    assert options.items() <= file_system(memory, options).storage_options.items()


def test_nonsense_is_refused() -> None:
    with pytest.raises(SettingError, match="max_bytes=0"):
        Storage(max_bytes=0)
    with pytest.raises(SettingError, match="mapping"):
        Storage(options="anon")  # type: ignore[arg-type]


# Listing


def names(found: list[Entry] | list[str], root: object) -> list[str]:
    paths = [entry.path if isinstance(entry, Entry) else entry for entry in found]
    assert all(path.startswith(f"{root}/") for path in paths)
    return [path.removeprefix(f"{root}/") for path in paths]


def test_a_folder_is_listed_by_name_without_what_is_hidden(tmp_path: Path, memory: str) -> None:
    for name in ("b.jpg", "a.jpg", "deep/c.jpg", "_hidden/d.jpg", ".git/e.jpg", "_SUCCESS", ".f.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    for root in (str(tmp_path), memory):
        folders, files = list_folder(Storage(schemes=MEMORY), root)
        assert names(folders, root) == ["deep"]
        assert names(files, root) == ["a.jpg", "b.jpg"]
        assert [file.size for file in files] == [5, 5]
        assert Storage(schemes=MEMORY).read(files[0].path) == b"a.jpg"


def test_a_listing_keeps_the_host() -> None:
    class Hosted(fsspec.AbstractFileSystem):
        protocol = "abfs"

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.partition("://")[2].partition("/")[2] if "://" in path else path

        @classmethod
        def _get_kwargs_from_urls(cls, path: str) -> dict[str, str]:
            return {"host": path.partition("://")[2].partition("/")[0]}

        def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
            return [
                {"name": f"{self._strip_protocol(path)}/{self.storage_options['host']}.jpg", "type": "file", "size": 1}
            ]

        def isfile(self, path: str) -> bool:
            return path.endswith(".jpg")

    fsspec.register_implementation("abfs", Hosted, clobber=True)
    for host in ("box@one", "box@two"):
        _, [file] = list_folder(Storage(), f"abfs://{host}/data")
        assert file.path == f"abfs://{host}/data/{host}.jpg"


def test_size_and_time_are_the_files_own(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"123")
    os.utime(tmp_path / "x", (1_000, 1_234.5))
    (tmp_path / "y").symlink_to(tmp_path / "x")
    _, files = list_folder(Storage(), str(tmp_path))
    assert [(file.size, file.modified) for file in files] == [(3, 1_234.5)] * 2


def test_a_folder_that_is_none_is_an_error(tmp_path: Path, memory: str) -> None:
    (tmp_path / "x.jpg").write_bytes(b"")
    for path in (tmp_path / "gone", f"{memory}/gone"):
        with pytest.raises(StorageError, match="there is no folder"):
            list_folder(Storage(schemes=MEMORY), str(path))
    for path in (tmp_path / "x.jpg", f"{memory}/a.jpg"):
        with pytest.raises(StorageError, match="is a file, not a folder"):
            list_folder(Storage(schemes=MEMORY), str(path))


def test_links_are_what_they_lead_to(tmp_path: Path) -> None:
    real, root = tmp_path / "real", tmp_path / "root"
    real.mkdir()
    root.mkdir()
    (real / "x.jpg").write_bytes(b"123")
    os.mkfifo(real / "pipe")
    (root / "file.jpg").symlink_to(real / "x.jpg")
    (root / "folder").symlink_to(real)
    (root / "pipe.jpg").symlink_to(real / "pipe")
    (root / "broken.jpg").symlink_to(tmp_path / "gone")
    folders, files = list_folder(Storage(), str(root))
    assert names(folders, root) == ["folder"]
    assert names(files, root) == ["broken.jpg", "file.jpg"]  # opening the broken one says that there is no such file
    assert [file.size for file in files] == [0, 3]


def test_a_walk_through_links_ends(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        folder.mkdir()
        (folder / "x").write_bytes(b"")
    (a / "self").symlink_to(a)
    (a / "up").symlink_to(tmp_path)
    (a / "to-b").symlink_to(b)
    (b / "to-a").symlink_to(a)
    (b / "nowhere").symlink_to(b / "nowhere")
    found = [names(files, tmp_path) for _, files in walk(Storage(), str(tmp_path))]
    assert found == [[], ["a/x"], ["a/to-b/nowhere", "a/to-b/x"], ["b/nowhere", "b/x"], ["b/to-a/x"]]


def test_a_walk_goes_folder_by_folder_in_order_of_name(tmp_path: Path, memory: str) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a/deep/4.jpg", "a/3.jpg", "0.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [name for _, files in walk(Storage(), str(tmp_path)) for name in names(files, tmp_path)]
    assert found == ["0.jpg", "a/3.jpg", "a/deep/4.jpg", "b/1.jpg", "b/2.jpg"]
    in_memory = [name for _, files in walk(Storage(schemes=MEMORY), memory) for name in names(files, memory)]
    assert in_memory == ["a.jpg", "b.jpg", "deep/c.jpg"]


def test_a_walk_stops_at_the_base_and_goes_on_beside_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base, other = tmp_path / "base", tmp_path / "other"
    for folder in (base / "real", other):
        folder.mkdir(parents=True)
        (folder / "x").write_bytes(b"x")
    (base / "out").symlink_to(other)
    (base / "inner").symlink_to(base / "real")
    (base / "out.jpg").symlink_to(other / "x")
    storage = Storage(base=str(base))
    found = [name for _, files in walk(storage, str(base)) for name in names(files, base)]
    assert found == ["out.jpg", "inner/x", "real/x"]  # opening the first says that it is outside
    assert f"{base}/out is left out" in caplog.text
    with pytest.raises(StorageError, match="outside"):
        list_folder(storage, str(base / "out"))


def test_listings_are_not_remembered(tmp_path: Path) -> None:
    assert list_folder(Storage(), str(tmp_path)) == ([], [])
    (tmp_path / "new").write_bytes(b"")
    assert len(list_folder(Storage(), str(tmp_path))[1]) == 1


def test_remove_folder_takes_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "z").write_bytes(b"")
    assert remove_folder(str(tmp_path / "x"))
    assert not remove_folder(str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []
