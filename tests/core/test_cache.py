"""A node fetches an artifact once, whoever asks, and takes for whole only what is whole."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from brightspark.core import cache
from brightspark.core.artifact import Artifact, open_artifact
from brightspark.core.errors import ArtifactError, StorageError
from tests.core import store
from tests.core.test_artifact import make


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and an empty store behind oss://."""
    (tmp_path / "store").mkdir()
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(store.ROOT_VARIABLE, str(tmp_path / "store"))
    store.register()
    return tmp_path / "cache"


@pytest.fixture
def remote(root: Path) -> Artifact:
    return open_artifact(make(f"oss://{root.parent.name}/model"))


def keep(artifact: Artifact) -> Path:
    store.register()
    return cache.keep(artifact.address, artifact.digest, artifact.files)


def test_a_fetched_artifact_is_whole_and_in_the_cache(root: Path, remote: Artifact) -> None:
    assert cache.cached(remote.digest) is None
    folder = keep(remote)
    assert folder.is_relative_to(root)
    assert cache.cached(remote.digest) == folder
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} == set(remote.files)


def test_processes_that_ask_together_fetch_once(remote: Artifact) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        [one, two] = pool.map(keep, [remote] * 2, chunksize=1)
    assert one == two
    assert sorted(store.FolderStore(bucket="x").fetched()) == sorted(
        f"{remote.address.removeprefix('oss://')}/{name}" for name in remote.files
    )


def test_wrong_content_is_refused_and_not_kept(root: Path, remote: Artifact) -> None:
    file = root.parent / "store" / remote.address.removeprefix("oss://") / "config.json"
    whole = file.read_bytes()
    file.write_bytes(whole + b" ")
    with pytest.raises(ArtifactError, match=r"config\.json in .* was changed"):
        keep(remote)
    file.unlink()
    with pytest.raises(ArtifactError, match="cannot fetch the model from oss://"):
        keep(remote)
    assert cache.cached(remote.digest) is None
    file.write_bytes(whole)
    assert keep(remote).is_dir()


def test_names_that_lead_outside_are_never_written(root: Path, remote: Artifact) -> None:
    with pytest.raises(ArtifactError, match="leads out"):
        cache.keep(remote.address, "0" * 64, {"../../x.json": "0" * 64})
    assert not list(root.rglob("x.json"))


FETCH_AND_HANG = """
import sys, time
from brightspark.core import cache
from tests.core import store

class Slow(store.FolderStore):
    def get_file(self, rpath, lpath, **more):
        super().get_file(rpath, lpath)
        print("fetched", flush=True)
        time.sleep(600)

import fsspec
fsspec.register_implementation("oss", Slow, clobber=True)
cache.keep(sys.argv[1], sys.argv[2], {"config.json": "0" * 64})
"""


def test_a_killed_fetch_leaves_nothing_that_is_taken_for_whole(root: Path, remote: Artifact) -> None:
    command = [sys.executable, "-c", FETCH_AND_HANG, remote.address, remote.digest]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "fetched\n"
        process.send_signal(signal.SIGKILL)
    assert cache.cached(remote.digest) is None
    left = [path.name for path in (root / "artifacts").iterdir() if path.is_dir()]
    assert len(left) == 1
    folder = keep(remote)  # the lock went with its process
    assert [path.name for path in (root / "artifacts").iterdir() if path.is_dir()] == [folder.name]


def test_a_folder_travels_as_an_archive(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = open_artifact(make(tmp_path / "model"))
    keep(artifact)
    archive = cache.pack(artifact.digest)
    assert archive.name == cache.archive_name(artifact.digest)
    assert cache.pack(artifact.digest) == archive
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "elsewhere"))
    folder = cache.unpack(archive, artifact.digest, artifact.files)
    assert folder.is_relative_to(tmp_path / "elsewhere")
    wrong = dict.fromkeys(artifact.files, "0" * 64)
    with pytest.raises(ArtifactError, match="was changed"):
        cache.unpack(archive, "1" * 64, wrong)


# Where it is


def test_the_environment_names_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "named"))
    assert cache.cache_root() == tmp_path / "named"
    monkeypatch.delenv(cache.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_root() == tmp_path / "xdg" / "brightspark"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_root() == tmp_path / "home" / ".cache" / "brightspark"


def test_a_home_that_cannot_be_written_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.CACHE_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    root = cache.cache_root()
    assert root == tmp_path / f"brightspark-{os.getuid()}"
    assert root.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user")
def test_a_user_without_a_home_has_a_cache_of_its_own() -> None:
    code = "from brightspark.core.cache import cache_root; print(cache_root())"
    command = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", sys.executable, "-c", code]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ["PYTHONPATH"]}
    shared = Path("/tmp/brightspark-54321")
    try:
        assert subprocess.check_output(command, env=environment, text=True).strip() == str(shared)
        shutil.rmtree(shared)
        shared.mkdir()  # root's: somebody else could have put it there
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "belongs to another user; set BRIGHTSPARK_CACHE" in done.stderr
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def test_a_root_that_cannot_be_written_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    artifact = open_artifact(make(tmp_path / "model"))
    monkeypatch.setenv(cache.CACHE_VARIABLE, "/proc/none")
    with pytest.raises(StorageError, match=r"cannot be written.*set BRIGHTSPARK_CACHE"):
        keep(artifact)
