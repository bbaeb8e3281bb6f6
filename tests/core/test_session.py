"""The session is the active one as it is, or a local one that listens on this machine only; without Java it says so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brightspark.core import session as of_sessions
from brightspark.core.errors import SetupError
from brightspark.core.session import check_java, has_master, local_conf, memory_bytes, session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


ROOT = Path(__file__).parents[2]


def test_an_active_session_is_returned_as_it_is(spark: SparkSession) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "3")
    found: list[SparkSession] = []
    try:
        found.append(session("another name", **{"spark.sql.shuffle.partitions": "5"}))
        thread = threading.Thread(target=lambda: found.append(session()))
        thread.start()
        thread.join()
        assert found == [spark, spark]
        assert spark.conf.get("spark.sql.shuffle.partitions") == "3"
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before or "8")


LISTENING = """
import os, sys, json
from brightspark.core.session import session

def inodes(pid):
    for link in os.scandir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(link.path)
        except OSError:
            pass

spark = session(**{"spark.driver.memory": "1g"})
spark.range(10).repartition(2).count()
jvm = {f"socket:[{line.split()[9]}]": line.split()[1] for name in ("tcp", "tcp6")
       for line in open(f"/proc/net/{name}").readlines()[1:] if line.split()[3] == "0A"}
children = [int(pid) for pid in os.listdir("/proc") if pid.isdigit()
            and open(f"/proc/{pid}/comm").read().strip() == "java"
            and int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1]) == os.getpid()]
listening = {jvm[inode] for pid in children for inode in inodes(pid) if inode in jvm}
from pyspark.sql import functions as F
@F.udf("string")
def python(_):
    return sys.executable
worker = spark.range(1).select(python("id")).first()[0]
print(json.dumps({"listening": sorted(listening), "worker": worker, "driver": sys.executable}))
"""


def without_spark(**added: str) -> dict[str, str]:
    """This environment as it is before anything has set up Spark."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(("SPARK", "PYSPARK"))}, **added}


QUIET = """
from brightspark.core.session import session
import brightspark.core
spark = session(**{"spark.driver.memory": "1g", "spark.ui.enabled": "false"})
print(brightspark.core.__path__[0], spark.range(3).count())
"""


@pytest.mark.slow
def test_a_checkout_may_lie_in_a_folder_with_a_blank(tmp_path: Path) -> None:
    checkout = tmp_path / "My Code"
    shutil.copytree(ROOT / "core", checkout / "brightspark" / "core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "brightspark" / "__init__.py", checkout / "brightspark")
    done = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120,
        env=without_spark(PYTHONPATH=str(checkout)),
    )  # fmt: skip
    assert done.stdout.split("\n")[-2:] == [f"{checkout}/brightspark/core 3", ""], done.stderr
    assert "log4j" not in done.stderr, "its log settings were not found"


CHOSEN = """
from brightspark.core.session import session
spark = session(**{"spark.ui.enabled": "false"})
print(spark.conf.get("spark.master"), spark.conf.get("spark.ui.enabled"), spark.conf.get("spark.driver.memory", "-"))
"""


@pytest.mark.slow
def test_a_master_that_spark_submit_gets_is_kept() -> None:
    environment = without_spark(PYSPARK_SUBMIT_ARGS="--master local[1] pyspark-shell", SPARK_LOCAL_IP="127.0.0.1")
    said = subprocess.check_output([sys.executable, "-c", CHOSEN], text=True, env=environment, timeout=120)
    assert said.splitlines()[-1] == "local[1] false -"


def test_a_master_is_found_where_spark_submit_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    for arguments, found in (
        ("pyspark-shell", False),
        ("--conf spark.master.rest.enabled=true pyspark-shell", False),
        ("--name a--master pyspark-shell", False),
        ("--master=yarn pyspark-shell", True),
        ("--name a --master yarn pyspark-shell", True),
        ("--conf spark.master=yarn pyspark-shell", True),
    ):
        monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", arguments)
        assert has_master() is found, arguments
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS")
    for defaults, found in (
        ("# spark.master yarn\nspark.ui.enabled false", False),
        ("spark.ui.enabled false\nspark.master   yarn\n", True),
        ("spark.master=yarn", True),
    ):
        (tmp_path / "spark-defaults.conf").write_text(defaults)
        assert has_master() is found, defaults


@pytest.mark.slow
def test_a_new_session_listens_on_loopback_only_and_its_workers_run_this_python() -> None:
    said = subprocess.check_output([sys.executable, "-c", LISTENING], text=True, env=without_spark(), timeout=120)
    seen = json.loads(said.splitlines()[-1])
    addresses = [address.rpartition(":")[0] for address in seen["listening"]]
    ports = [int(address.rpartition(":")[2], 16) for address in seen["listening"]]
    assert len(ports) >= 3, "driver, block manager and UI listen"
    assert any(4040 <= port < 4060 for port in ports), "the UI is there"
    # /proc/net writes addresses in the machine's byte order: 127.0.0.1, and the same mapped into IPv6.
    assert set(addresses) <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert seen["worker"] == seen["driver"]


def fake_java(folder: Path, says: str) -> str:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    (folder / "bin" / "java").chmod(0o755)
    return str(folder)


def test_no_java_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SetupError, match=r"no Java was found\. .*apt-get install openjdk-17"):
        check_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    with pytest.raises(SetupError, match=f"no Java was found at JAVA_HOME={tmp_path}/jdk"):
        check_java()
    (tmp_path / "jdk" / "bin").mkdir(parents=True)
    (tmp_path / "jdk" / "bin" / "java").write_text("no program")
    with pytest.raises(SetupError, match=r"cannot be run .*apt-get install openjdk-17"):
        check_java()


@pytest.mark.parametrize("says", ['java version "1.8.0_292"', 'openjdk version "11.0.2" 2019-01-15', "garbage"])
def test_a_java_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    home = fake_java(tmp_path, says)
    for name, value in (("PATH", f"{home}/bin:/bin"), ("JAVA_HOME", home)):
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv(name, value)
        with pytest.raises(SetupError) as caught:
            check_java()
        assert f"{home}/bin/java" in str(caught.value)
        assert says in str(caught.value)
        assert "Java 17 or 21" in str(caught.value)


@pytest.mark.parametrize("says", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "21" 2023-09-19'])
def test_a_java_that_is_new_enough_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    monkeypatch.setenv("JAVA_HOME", fake_java(tmp_path, says))
    check_java()


def test_a_local_session_fits_the_machine() -> None:
    assert local_conf(3)["spark.master"] == "local[3]"
    assert local_conf()["spark.master"] == f"local[{len(os.sched_getaffinity(0))}]"
    quarter = (memory_bytes() >> 30) // 4
    assert local_conf()["spark.driver.memory"] == f"{min(max(quarter, 1), 16)}g"


def test_memory_is_the_containers_where_that_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version_2, version_1 = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    monkeypatch.setattr(of_sessions, "_MEMORY_LIMITS", (version_2, version_1))
    machine = memory_bytes()
    assert machine == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file, none in ((version_2, "max\n"), (version_1, "9223372036854771712\n")):
        file.write_text(none)
        assert memory_bytes() == machine
        file.write_text(f"{1 << 30}\n")
        assert memory_bytes() == 1 << 30
        assert local_conf()["spark.driver.memory"] == "1g"
        file.unlink()
