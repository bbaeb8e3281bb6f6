"""Doctor says what is wrong before a job does, and what to do: on a session, classic or Connect, and on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from brightspark.core import cli, doctor_workers
from brightspark.core.doctor import examine
from brightspark.core.doctor_session import examine_version
from brightspark.core.doctor_workers import meet, within
from brightspark.core.errors import SettingError
from brightspark.core.findings import Finding, Level
from brightspark.core.requirements import Need
from tests.core.examined import clean, failures, of, parsed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.alone

CORES = 2  # of the tests' session


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


@pytest.mark.slow
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


@pytest.mark.slow
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


# A cluster


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
