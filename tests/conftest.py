"""The sessions that tests run in: `pytest` on classic Spark, `pytest --spark connect` against a Connect server.

The two cannot live in one process; the second run takes only the tests that use a session.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parent.parent
CORES = 2

# Workers import what tests define (predictors broken on purpose, counting loaders).
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ["PYSPARK_PYTHON"] = sys.executable


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--spark", choices=["classic", "connect"], default="classic", help="the kind of Spark session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--spark") == "connect":
        with_session = [
            item
            for item in items
            if "spark" in getattr(item, "fixturenames", ()) and item.get_closest_marker("classic") is None
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(with_session)])
        items[:] = with_session


@pytest.fixture(scope="session")
def spark(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A real session with two cores, with the configuration that `session()` gives a machine."""
    from brightspark.core.session import local_conf, session

    conf = {**local_conf(CORES), "spark.driver.memory": "2g", "spark.ui.enabled": "false"}
    conf["spark.sql.warehouse.dir"] = str(tmp_path_factory.mktemp("warehouse"))
    if request.config.getoption("--spark") == "classic":
        from pyspark.sql import SparkSession

        left = SparkSession.getActiveSession()  # by a test that ran before any that wants this one
        if left is not None:
            left.stop()
        made = session("tests", **conf)
        yield made
        made.stop()
    else:
        from pyspark.sql import SparkSession

        with connect_server(conf, tmp_path_factory.mktemp("connect")) as remote:
            made = SparkSession.builder.remote(remote).getOrCreate()
            yield made
            made.stop()


class connect_server:  # noqa: N801 - a context manager
    """A Spark Connect server in a process of its own, on a free port of the loopback interface."""

    def __init__(self, conf: dict[str, str], folder: Path) -> None:
        self.conf, self.folder = conf, folder

    def __enter__(self) -> str:
        import pyspark

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        conf = {
            **self.conf,
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(port),
        }
        arguments = [argument for name, value in conf.items() for argument in ("--conf", f"{name}={value}")]
        home = Path(pyspark.__file__).parent
        self.log = (self.folder / "server.log").open("wb")
        self.server = subprocess.Popen(
            [str(home / "bin" / "spark-submit"), "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
             *arguments, "spark-internal"],
            cwd=self.folder, stdout=self.log, stderr=subprocess.STDOUT,
            env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        )  # fmt: skip
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"sc://127.0.0.1:{port}"
            time.sleep(0.2)
        raise RuntimeError(f"no Connect server:\n{(self.folder / 'server.log').read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self.server.terminate()
        self.server.wait(30)
        self.log.close()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks as small as these are slower on two threads, and much slower where the machine has other work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
