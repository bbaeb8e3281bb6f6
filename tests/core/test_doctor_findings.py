"""What doctor makes of facts, without a session: of the driver's machine, and of what workers answer."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from brightspark.core.doctor import examine
from brightspark.core.doctor_cluster import examine_packages
from brightspark.core.doctor_driver import FREE_BYTES, examine_disk, examine_java, examine_links, examine_needs
from brightspark.core.doctor_resources import examine_gpus, examine_memory
from brightspark.core.doctor_storage import can_write
from brightspark.core.doctor_workers import slots
from brightspark.core.findings import Level
from brightspark.core.requirements import Need, known_solutions, needs
from tests.core.examined import ROOT, failures, install_metadata, java

# Before Spark starts


def test_needs_are_what_the_project_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {Requirement(line).name for line in declared["dependencies"]}
    found = {need.name: need for need in needs([])}
    assert {"pyspark", "torch", "pandas", "pyarrow", "numpy"} <= found.keys() <= base
    assert found["pandas"].wanted == "'pandas<3,>=2.2'"
    assert not {"matplotlib", "typer"} & {need.name for need in found.values() if need.on_workers}
    vision = {Requirement(line).name for line in declared["optional-dependencies"]["vision"]}
    assert {"timm"} <= {need.name for need in needs(["vision"]) if need.solution == "vision"} <= vision
    assert "vision" in known_solutions()


def test_a_package_that_is_missing_or_does_not_fit() -> None:
    torch = Need(Requirement("torch>=2.10"), None)
    assert torch.fits("2.10.0+cu128")
    assert torch.fits("2.14.1")
    assert not torch.fits("2.9.1")
    assert not torch.fits("unknown")
    spark = Need(Requirement("pyspark>=4.1,<5"), None)  # as vendors name theirs
    assert [spark.fits(f"{one}-amzn-0") for one in ("4.0.2", "4.1.0", "5.0.0")] == [False, True, False]
    assert not list(examine_needs([torch], asked=False))
    gone = [Requirement("no-such-package>=3"), Requirement("nor-this")]
    (missing,) = examine_needs([Need(one, None) for one in gone], asked=False)
    assert (missing.level, missing.found) == (Level.FAILURE, "missing: no-such-package, nor-this")
    assert missing.advice == f"{sys.executable} -m pip install 'no-such-package>=3' 'nor-this'"
    for asked, level in ((False, Level.WARNING), (True, Level.FAILURE)):
        (missing,) = examine_needs([Need(one, "vision") for one in gone], asked=asked)
        assert missing.level is level


def test_pandas_3_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_metadata(tmp_path, "pandas", "3.0.1")
    monkeypatch.syspath_prepend(tmp_path)
    assert metadata.version("pandas") == "3.0.1"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))  # there is none: it ends before Spark
    found = failures(examine())
    assert any("packages: not the versions that are needed: pandas 3.0.1 → " in one for one in found)
    assert any(one.endswith("pip install 'pandas<3,>=2.2'") for one in found)


@pytest.mark.parametrize(
    ("says", "level"),
    [
        ('openjdk version "11.0.2" 2019-01-15', Level.FAILURE),
        ('openjdk version "17.0.15" 2025-04-15', Level.OK),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21" 2023-09-19', Level.OK),
        ('openjdk version "24.0.1" 2025-04-15', Level.WARNING),
        ('openjdk version "25.0.1" 2025-10-21', Level.WARNING),
    ],
)
def test_java_is_one_that_spark_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, level: Level
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, says)))
    found = examine_java()
    assert found.level is level
    assert says.splitlines()[-1] in found.found
    assert "JAVA_TOOL" not in found.found
    assert bool(found.advice) == (level is not Level.OK)


def test_a_checkout_whose_links_are_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "core").symlink_to(ROOT / "core")
    (tmp_path / "py.typed").touch()
    assert not list(examine_links(tmp_path))
    (tmp_path / "vision").write_text("../vision")
    (found,) = examine_links(tmp_path)
    assert found.level is Level.FAILURE
    assert "vision" in found.found
    assert "WSL" in found.advice


def test_a_full_or_closed_disk() -> None:
    room = {"name": "cache", "path": "/cache", "error": None, "free": FREE_BYTES}
    assert [one.level for one in examine_disk(room)] == [Level.OK]
    (full,) = examine_disk({**room, "free": FREE_BYTES - 1})
    assert full.level is Level.WARNING
    (closed,) = examine_disk({**room, "error": "Permission denied"}, where="worker ")
    assert (closed.level, closed.check) == (Level.FAILURE, "worker cache")
    assert "set BRIGHTSPARK_CACHE to a folder that each worker can write" in closed.advice


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_of_another_user_is_not_writable() -> None:
    assert "Permission" in (can_write("/root") or "")


# What the workers' answers mean


def answer(host: str = "a", pid: int = 1, at: tuple[float, float] = (0, 1), **other: Any) -> dict[str, Any]:
    torch = {"gpus": 0, "devices": 0, "error": None, **other.pop("torch", {})}
    return {"host": host, "pid": pid, "started": at[0], "ended": at[1], "torch": torch, "gpus": [], **other}


def test_slots_are_the_tasks_that_overlap_on_each_host() -> None:
    assert slots([]) == 0
    assert slots([answer(at=(0, 1)), answer(at=(1, 2)), answer(at=(1.5, 3))]) == 2
    # Another host's clock is an hour ahead.
    assert slots([answer(at=(0, 2)), answer(at=(1, 2)), answer(host="b", at=(3600, 3602))]) == 3


def test_packages_that_differ_between_hosts() -> None:
    here = metadata.version("torch")
    wanted = [Need(Requirement("torch>=2.10"), None), Need(Requirement("numpy>=2"), None)]
    same = {"torch": here, "numpy": metadata.version("numpy")}
    common = {"executable": "/bin/python", "pyspark": "4.3.0", "error": None}
    workers = [answer(host, packages=same, **common) for host in "abc"]
    assert [one.level for one in examine_packages(workers, wanted)] == [Level.OK]
    other = answer("d", packages={**same, "torch": "99.1"}, **common)
    (found,) = examine_packages([*workers, other], wanted)
    assert str(found) == (
        f"warning worker packages: not the versions of this process on 1 of 4 hosts (d): torch 99.1 (here {here}) "
        f"→ there: /bin/python -m pip install 'torch=={here}'"
    )
    broken = answer("d", packages=same, **{**common, "torch": {"error": "OSError: libcudart.so"}})
    (found,) = examine_packages([*workers, broken], wanted)
    assert found.level is Level.FAILURE
    assert "torch cannot be imported (OSError: libcudart.so), on 1 of 4 hosts (d)" in found.found
    old = answer("d", packages=same, brightspark="0.0.1", **common)
    (found,) = examine_packages([*workers, old], wanted)
    assert "brightspark 0.0.1 on 1 of 4 hosts (d)" in found.found
    without = answer("d", packages=same, **{**common, "error": "ModuleNotFoundError: No module named 'brightspark'"})
    (found,) = examine_packages([*workers, without], wanted)
    assert "brightspark cannot be imported" in found.found


@pytest.mark.parametrize(
    ("torch", "given", "level", "says"),
    [
        ({"gpus": 2, "devices": 2}, ["0"], Level.OK, "2 GPUs on a, given to tasks"),
        ({"gpus": 1, "devices": 1}, [], Level.WARNING, "2 tasks at once share 1 GPU on a"),
        ({"gpus": 0, "devices": 4}, [], Level.WARNING, "a has 4 GPUs, but torch sees none"),
        ({"gpus": 0, "devices": 0}, [], Level.OK, "none on the workers"),
    ],
)
def test_gpus_that_tasks_share_or_torch_does_not_see(
    torch: dict[str, int], given: list[str], level: Level, says: str
) -> None:
    workers = [answer(pid=pid, torch=torch, gpus=given) for pid in (1, 2)]
    (found,) = examine_gpus(workers, workers)
    assert found.level is level
    assert says in found.found


def test_too_little_memory_for_the_tasks_of_a_host() -> None:
    workers = [answer(pid=pid, memory=3 << 30) for pid in range(4)]
    (found,) = examine_memory(workers, workers)
    assert found.level is Level.WARNING
    assert "3.0 GiB on a for the JVM and 4 tasks" in found.found
    (found,) = examine_memory(workers[:2], workers[:2])
    assert found.level is Level.OK
