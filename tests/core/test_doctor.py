"""Doctor says what is wrong before a job does, and what to do: no Java, broken workers, too small a cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from brightspark.core import cli, doctor_workers
from brightspark.core.doctor import examine
from brightspark.core.doctor_cluster import examine_packages
from brightspark.core.doctor_driver import FREE_BYTES, examine_disk, examine_java, examine_links, examine_needs
from brightspark.core.doctor_resources import examine_gpus, examine_memory
from brightspark.core.doctor_session import examine_version
from brightspark.core.doctor_storage import can_write
from brightspark.core.doctor_workers import meet, slots, within
from brightspark.core.errors import SettingError
from brightspark.core.findings import Finding, Level
from brightspark.core.requirements import Need, known_solutions, needs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
CORES = 2  # of the tests' session


def of(findings: list[Finding], check: str) -> Finding:
    """The one finding of a check."""
    (one,) = [finding for finding in findings if finding.check == check]
    return one


def failures(findings: list[Finding]) -> list[str]:
    return [str(finding) for finding in findings if finding.level is Level.FAILURE]


# A session that is well, classic and Connect


def test_a_session_that_is_well_has_no_failure(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    found = examine(spark, paths=[str(tmp_path), str(tmp_path / "file")], writable=[str(tmp_path / "answers")])
    assert not failures(found)
    assert f"Python {'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}" in of(found, "workers").found
    assert of(found, "slots").found == f"{CORES} slots free, {CORES} ranks started together"
    assert {"Spark", "packages", "worker packages", "worker cache", "GPUs"} <= {one.check for one in found}
    assert all(bool(one.advice) == (one.level is not Level.OK) for one in found)
    assert [one.name for one in tmp_path.iterdir()] == ["file"], "nothing is left"
    assert len([one for one in found if one.check == "readable path"]) == 2


def test_paths_that_the_workers_cannot_use_are_failures(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    paths = [str(tmp_path / "gone"), "http://host/x"]
    found = failures(examine(spark, paths=paths, writable=[str(tmp_path / "file" / "below")], ranks=0))
    assert len(found) == 3
    assert f"there is no folder {tmp_path}/gone" in found[0]
    assert "'http'" in found[1]
    assert f"writable path: {tmp_path}/file/below: NotADirectoryError" in found[2]
    assert all(" → " in one for one in found)


def test_too_few_slots_are_found_and_no_job_is_left(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_workers, "SLOT_SECONDS", 2.0)
    found = of(examine(spark, ranks=CORES + 1), "slots")
    assert found.level is Level.FAILURE
    assert found.found.startswith(f"at most {CORES} slots were free within 10 s, but {CORES + 1} ranks must start")
    assert found.advice.startswith("wait until other jobs are done")
    assert "train with 2 ranks" in found.advice
    monkeypatch.undo()
    meet(spark, CORES)


def test_there_may_be_more_slots_than_tasks_that_ask(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_workers, "TASKS", 1)
    monkeypatch.setattr(doctor_workers, "MAX_TASKS", 1)
    found = of(examine(spark, ranks=CORES), "slots").found
    assert found == f"at least {CORES} slots free, {CORES} ranks started together"


def sleeping(seconds: float) -> Any:
    from pyspark.sql import functions as F

    def sleep(_: int) -> str:
        time.sleep(seconds)
        return "slept"

    return F.udf(sleep, "string", useArrow=False)


def test_a_job_that_takes_too_long_is_stopped_and_no_other(spark: SparkSession) -> None:
    others: list[Any] = []
    other = threading.Thread(target=lambda: others.extend(spark.range(1).select(sleeping(5)("id")).collect()))
    other.start()
    with pytest.raises(TimeoutError):
        within(spark, 2, lambda session: session.range(0, 1, 1, 1).select(sleeping(300)("id")).collect())
    other.join(60)
    assert [row[0] for row in others] == ["slept"]
    meet(spark, CORES)  # all slots are free again
    assert not spark.getTags()


def test_workers_that_do_not_answer_are_not_waited_for(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_workers, "START_SECONDS", 1.0)
    busy = threading.Thread(target=lambda: spark.range(0, CORES, 1, CORES).select(sleeping(6)("id")).collect())
    busy.start()
    time.sleep(2)  # its tasks have all slots now
    found = examine(spark)[-1]
    busy.join(60)
    assert (found.level, found.check) == (Level.FAILURE, "workers")
    assert "no worker has answered within" in found.found
    assert "Spark's UI" in found.advice


def test_a_spark_that_is_too_old_for_brightspark(spark: SparkSession) -> None:
    assert examine_version(spark, Need(Requirement("pyspark>=4.1"), None)).level is Level.OK
    found = examine_version(spark, Need(Requirement("pyspark>=99"), None))
    assert (found.level, found.advice) == (Level.FAILURE, "run on a Spark >=99")


def test_the_command_ends_with_1_only_for_a_failure(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(*options: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["brightspark", "doctor", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().out

    code, said = run("--path", str(tmp_path), "--ranks", "0")
    assert code == 0
    assert "no failures" in said
    code, said = run("--path", str(tmp_path / "gone"), "--ranks", "0", "--json")
    assert code == 1
    assert [one["check"] for one in json.loads(said) if one["level"] == "failure"] == ["readable path"]
    assert run("--solution", "visoin")[0] == 2
    assert run("--ranks", "-1")[0] == 2


def test_huge_arrow_batches_are_a_warning(spark: SparkSession) -> None:
    name = "spark.sql.execution.arrow.maxBytesPerBatch"
    before = spark.conf.get(name)
    try:
        for size, level in (("1g", Level.WARNING), ("256m", None)):
            spark.conf.set(name, size)
            found = [one.level for one in examine(spark, ranks=0) if one.check == "Arrow batches"]
            assert found == ([level] if level else []), size
    finally:
        spark.conf.set(name, before)


def test_settings_that_cannot_be_are_refused(spark: SparkSession) -> None:
    with pytest.raises(SettingError, match="did you mean 'vision'"):
        examine(spark, solutions=["visoin"])
    with pytest.raises(SettingError, match="ranks=-1"):
        examine(spark, ranks=-1)


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


def install_metadata(folder: Path, name: str, version: str) -> None:
    """What pip leaves of an installed package, without the package."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


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


def java(folder: Path, says: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    (folder / "bin" / "java").chmod(0o755)
    return folder


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


# The command, in environments that are broken


def clean(**environment: str) -> dict[str, str]:
    """The environment without what a launcher or a test has set for Spark."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK", "PYSPARK", "JAVA"))}
    return {**kept, **environment}


def doctor(environment: dict[str, str], *options: str) -> tuple[int, list[Finding]]:
    """Exit code and findings of the command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "brightspark", "doctor", "--json", *options],
        capture_output=True, text=True, check=False, env=environment, cwd=ROOT.anchor, timeout=300,
    )  # fmt: skip
    assert not any("brightspark" in line for line in done.stderr.splitlines() if "File" in line), done.stderr
    return done.returncode, parsed(done.stdout)


def parsed(output: str) -> list[Finding]:
    """The findings in the last line of an output."""
    return [Finding(**{**one, "level": Level(one["level"])}) for one in json.loads(output.splitlines()[-1])]


def test_without_java_it_ends_there(tmp_path: Path) -> None:
    code, found = doctor(clean(PATH=str(tmp_path)))
    assert code == 1
    assert (found[-1].level, found[-1].check, found[-1].found) == (Level.FAILURE, "Java", "no Java was found")
    assert "apt-get install openjdk-17" in found[-1].advice
    code, found = doctor(clean(PATH=str(tmp_path), JAVA_HOME=str(java(tmp_path / "11", 'openjdk version "11.0.2"'))))
    assert code == 1
    assert 'too old for Spark (openjdk version "11.0.2")' in found[-1].found


@pytest.mark.slow
def test_a_connect_server_that_is_away_is_said_without_the_token(tmp_path: Path) -> None:
    for address, told in (
        ("sc://127.0.0.1:9/;token=hidden", "sc://127.0.0.1:9"),
        ("sc://127.0.0.1;token=hidden", "sc://127.0.0.1"),  # the slash is forgotten
        ("sc://127.0.0.1:9;token=hidden", "sc://127.0.0.1:9"),
    ):
        code, found = doctor(clean(SPARK_REMOTE=address, JAVA_HOME=str(tmp_path)))
        assert code == 1
        assert found[-1].found == f"{told} does not answer"
        assert not [one for one in found if one.check == "Java"], "the server's counts, not ours"
        assert "hidden" not in str(found)


def links_without(folder: Path, kept_out: set[str]) -> Path:
    """This Python's packages, but some."""
    folder.mkdir(exist_ok=True)
    here = Path(str(metadata.distribution("torch").locate_file("")))
    for entry in here.iterdir():
        if not {entry.name, entry.name.partition("-")[0]} & kept_out and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.mark.slow
def test_a_brightspark_that_is_not_installed_is_examined_all_the_same(tmp_path: Path) -> None:
    links = links_without(tmp_path / "links", {"brightspark", "__editable___brightspark_0_1_0_finder.py"})
    (links / "brightspark").symlink_to(ROOT / "brightspark")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-m", "brightspark", "doctor", "--ranks", "0", *options],
            capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300,
            env=clean(PYTHONPATH=str(links), COLUMNS="300"),
        )  # fmt: skip

    done = run("--json")
    assert "but not installed" in of(parsed(done.stdout), "packages").found, done.stderr
    refused = run("--solution", "vision")
    assert refused.returncode == 2
    assert "not installed" in " ".join(refused.stderr.split())


NOTEBOOK = """
from brightspark.core.doctor import examine
from brightspark.core.session import active, session
examine(ranks=0)
print(active())
spark = session(**{"spark.ui.enabled": "false"})
print(spark.conf.get("spark.log.level"))
examine(ranks=0)
print(spark.range(3).count())
"""


@pytest.mark.slow
def test_a_session_of_its_own_is_stopped_and_another_is_left() -> None:
    said = subprocess.check_output([sys.executable, "-c", NOTEBOOK], text=True, env=clean(), timeout=300)
    assert said.splitlines()[-3:] == ["None", "ERROR", "3"]


@pytest.fixture(scope="module")
def other_python() -> str:
    """A Python of another minor version that pyspark can start: from the PATH, or one that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in {10, 11, 12, 13, 14} - {sys.version_info.minor}:
        for python in (shutil.which(f"python3.{minor}"), *kept.glob(f"3.{minor}.*/bin/python3.{minor}")):
            if python and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
                return str(python)
    pytest.skip("there is no other Python 3 on the PATH, and pyenv keeps none")


@pytest.mark.slow
def test_workers_with_another_python_are_named(other_python: str) -> None:
    code, found = doctor(clean(PYSPARK_PYTHON=other_python))
    assert code == 1
    one = of(found, "worker Python")
    here = ".".join(map(str, sys.version_info[:2]))
    assert one.found.startswith("the workers run Python 3.")
    assert one.found.endswith(f"this process {here}")
    assert "set PYSPARK_PYTHON" in one.advice
    assert one.advice.endswith(f"to a Python {here}")


@pytest.fixture
def broken_python(tmp_path: Path) -> Path:
    """This Python as workers have it that lack torch and brightspark, and that somebody gave pandas 3."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    links = tmp_path / "links"
    install_metadata(links, "pandas", "3.0.1")
    links_without(links, {"torch", "brightspark", f"pandas-{metadata.version('pandas')}.dist-info"})
    site_packages = next((tmp_path / "venv" / "lib").glob("python3*/site-packages"))
    (site_packages / "links.pth").write_text(f"{links}\n")
    return tmp_path / "venv" / "bin" / "python"


@pytest.mark.slow
def test_everything_that_is_wrong_on_the_workers_is_said_at_once(broken_python: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    conf = {"spark.ssl.enabled": "true", "spark.ui.enabled": "false", "spark.python.worker.reuse": "false"}
    submitted = " ".join(f"--conf {name}={value}" for name, value in conf.items())
    environment = clean(
        PYSPARK_PYTHON=str(broken_python),
        PYSPARK_SUBMIT_ARGS=f"{submitted} pyspark-shell",
        BRIGHTSPARK_CACHE=str(tmp_path / "file" / "cache"),
    )
    environment.pop("PYTHONPATH")  # by which workers would find this checkout
    code, found = doctor(environment, "--path", str(tmp_path))
    assert code == 1
    said = {str(one) for one in found if one.level is Level.FAILURE}
    check, install = "failure worker packages", f"there: {broken_python} -m pip install"
    assert f"{check}: missing on the workers: torch → {install} 'torch>=2.10'" in said
    unfit = "not the versions that are needed on the workers: pandas 3.0.1"
    assert f"{check}: {unfit} → {install} 'pandas<3,>=2.2'" in said
    assert {one.check for one in found if one.level is Level.FAILURE} == {"cache", "worker packages", "TLS"}, said
    assert of(found, "TLS").advice.startswith(
        "if the nodes' network is private, set pytorch.spark.distributor.ignoreSsl"
    )
    assert any("brightspark cannot be imported (ModuleNotFoundError" in one for one in said)
    assert of(found, "readable path").found.startswith("not checked where brightspark cannot be used")
    assert of(found, "worker reuse").level is Level.WARNING


def cluster(folder: Path, *, dynamic: bool) -> list[Finding]:
    """What doctor says on two executors of one core each."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("doctor_cluster_script.py")), str(folder), str(dynamic).lower()],
        capture_output=True, text=True, check=False, env=clean(), timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return parsed(done.stdout)


@pytest.mark.slow
def test_executors_of_their_own(tmp_path: Path) -> None:
    well = cluster(tmp_path, dynamic=False)
    assert not failures(well)
    assert "2 ranks started together" in of(well, "slots").found
    assert "local-cluster[2,1,1024]" in of(well, "Spark").found


@pytest.mark.slow
def test_dynamic_allocation_keeps_ranks_from_starting(tmp_path: Path) -> None:
    found = cluster(tmp_path, dynamic=True)
    assert failures(found) == [str(of(found, "slots"))]
    assert "dynamic allocation is on" in of(found, "slots").found
    assert "spark.dynamicAllocation.enabled=false" in of(found, "slots").advice
