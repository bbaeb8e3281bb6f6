"""What stands around the tabs: the command, the options, the server's promises. No browser."""

from __future__ import annotations

import doctest
import http.client
import importlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import pyarrow as pa
import pytest

from brightspark.apps.engine import Engine
from brightspark.apps.frame import chosen, run_app
from brightspark.apps.job import MAX_FILES, sent_files
from brightspark.apps.server import start
from brightspark.core.errors import InputError, SetupError
from brightspark.core.predictor import Predictor
from brightspark.core.score import Scorer


@pytest.fixture(autouse=True)
def own_uploads(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A page tells all of its process where uploads go; the app that other tests look at keeps its folder."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))


DOCTESTED = ("apps.html", "apps.picks", "apps.server", "nlp.app", "nlp.app_ask", "recsys.app_search", "vision.app")


@pytest.mark.parametrize("module", DOCTESTED)
def test_the_examples_in_docstrings_run(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"brightspark.{module}")).failed == 0


def test_tabs_are_found_by_name() -> None:
    assert chosen((), None) == ["nlp", "recsys", "vision"]
    assert chosen(["vision"], "some-model") == ["vision"]
    with pytest.raises(InputError, match="did you mean 'vision'"):
        chosen(["visoin"], None)
    with pytest.raises(InputError, match="choose one by --only"):
        chosen((), "some-model")


def test_without_gradio_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['gradio'] = None; sys.argv = ['brightspark', 'app'];"
        "import brightspark.core.cli as cli; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: the app needs gradio: pip install 'brightspark[app]'\n"


def test_a_solution_that_is_not_installed_has_no_tab_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without_timm(name: str) -> str:
        if name == "timm":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_timm)
    assert chosen((), None) == ["nlp", "recsys"]
    assert chosen(["vision"], None) == ["vision"]


def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with gr.Blocks(analytics_enabled=False) as page, pytest.raises(SetupError, match="name another by --port"):
            start(page, host="127.0.0.1", port=taken.getsockname()[1], warn=pytest.fail)


def status(port: int, host: str, name: str) -> int:
    """What an empty page on an address answers to who asks for it by a name."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request("GET", "/", headers={"Host": name})
    return connection.getresponse().status


def test_listening_for_others_is_warned_of_and_names_are_this_machines() -> None:
    said: list[str] = []
    with gr.Blocks(analytics_enabled=False) as page:
        pass
    port = urlsplit(start(page, host="0.0.0.0", port=None, warn=said.append)).port or 0
    try:
        for name in ("127.0.0.1", f"192.0.2.7:{port}", "[2001:db8::1]", "localhost", socket.gethostname().upper()):
            assert status(port, "127.0.0.1", name) == 200, name
        for name in ("elsewhere.example", f"192.0.2.7.elsewhere.example:{port}", "", "[::1"):
            assert status(port, "127.0.0.1", name) == 403, name
    finally:
        page.close()
    assert len(said) == 1
    assert "without a password" in said[0]


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost"])
def test_every_loopback_address_can_be_listened_on(host: str) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        pass
    port = urlsplit(start(page, host=host, port=None, warn=pytest.fail)).port or 0
    try:
        assert status(port, host, host) == 200
        assert status(port, host, "192.0.2.7") == 403
    finally:
        page.close()


def test_a_model_that_is_none_ends_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"no model\.safetensors"):
        run_app(host="127.0.0.1", model=str(tmp_path), only=["vision"])


@pytest.mark.slow
def test_the_real_thing_serves_and_leaves_nothing_behind(network: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "brightspark", "app", "--model", str(network), "--only", "vision"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as app:
        assert app.stderr is not None
        said = next(line for line in app.stderr if "http" in line)
        address = said.split()[2]
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        assert list(tmp_path.glob("brightspark-app-*"))
        app.terminate()
        assert app.wait(timeout=30) == 0
    assert address.startswith("http://127.0.0.1:")
    assert not list(tmp_path.iterdir())


def test_too_many_files_are_refused() -> None:
    with pytest.raises(InputError, match="more than 10,000 files"):
        sent_files(["x.jpg"] * (MAX_FILES + 1))


def test_one_record_at_a_time_from_any_number_of_threads() -> None:
    busy = threading.Lock()

    def predict(batch: Sequence[int]) -> list[int]:
        assert busy.acquire(blocking=False), "two threads are in the engine"
        time.sleep(0.001)
        busy.release()
        return [2 * number for number in batch]

    doubles = Predictor(
        columns=("number",),
        answer_type=pa.int64(),
        split=lambda record, work: [record["number"]],
        prepare=list,
        predict=predict,
    )
    engine = Engine(Scorer(doubles))
    answers: dict[int, object] = {}

    def ask(number: int) -> None:
        answers[number] = engine.one({"number": number})[0].answer

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: 2 * number for number in range(20)}
