"""`brightspark doctor` in processes of its own, in environments that are broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from brightspark.core.findings import Finding, Level
from tests.core.examined import ROOT, clean, install_metadata, java, of, parsed

pytestmark = pytest.mark.alone


def doctor(environment: dict[str, str], *options: str) -> tuple[int, list[Finding]]:
    """Exit code and findings of the command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "brightspark", "doctor", "--json", *options],
        capture_output=True, text=True, check=False, env=environment, cwd=ROOT.anchor, timeout=300,
    )  # fmt: skip
    assert not any("brightspark" in line for line in done.stderr.splitlines() if "File" in line), done.stderr
    return done.returncode, parsed(done.stdout)


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
