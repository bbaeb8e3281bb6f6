"""Executors of their own (`local-cluster`): the model finds its way to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.alone

SCRIPT = Path(__file__).with_name("cluster_script.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    work = tmp_path_factory.mktemp("cluster")
    env = {**os.environ, "BRIGHTSPARK_CACHE": str(work / "driver-cache")}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(work)], capture_output=True, text=True, timeout=300, env=env
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
def test_executors_have_the_model_when_the_drivers_folder_is_gone(seen: dict[str, Any]) -> None:
    assert seen["answered"] == 400


@pytest.mark.slow
def test_each_executor_fetches_a_uri_once_whatever_its_number_of_workers(seen: dict[str, Any]) -> None:
    assert seen["from_uri"] == 400
    fetches = Counter((folder, file.rpartition("/")[2]) for folder, file in seen["fetched"])
    assert set(fetches.values()) == {1}
    assert len({folder for folder, _ in fetches}) == 2  # both executors took part, each for itself


@pytest.mark.slow
def test_a_relative_path_is_the_drivers(seen: dict[str, Any]) -> None:
    """Each executor works in a folder of its own."""
    assert seen["relative"] == {"folder": 6, "table": 2, "table folder": 2, "named format": 2, "dicom": 1,
                                "published": 6, "quarantined": 0}  # fmt: skip
