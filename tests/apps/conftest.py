"""A real browser without a window, and the app in this process, looked at by way of the loopback interface."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from brightspark.apps.frame import build
from brightspark.apps.options import Options
from brightspark.apps.server import start
from tests.vision.networks import save_network
from tests.vision.pictures import save_pictures

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
WAIT_MILLISECONDS = 120_000  # for a machine that is busy: Spark's workers start

# The hosts that this process connected to or looked up since the app was built. An audit hook cannot be taken off.
asked: list[str] = []


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        asked.append(str(arguments[1][0]))
    elif event == "socket.getaddrinfo" and arguments[0] is not None:
        asked.append(str(arguments[0]))


sys.addaudithook(listen)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on the PATH")
    # A browser in a container, as root, has no sandbox. The camera is Chromium's own test picture.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        expect.set_options(timeout=WAIT_MILLISECONDS)
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with seven labels, in timm's layout."""
    return save_network(tmp_path_factory.mktemp("app") / "network")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the app may read: `trip`, with 19 pictures and a file that is none."""
    base = tmp_path_factory.mktemp("app") / "base"
    save_pictures(base / "trip", 19)
    (base / "trip" / "broken.jpg").write_text("no picture")
    (base.parent / "secret").mkdir()
    shutil.copy(base / "trip" / "0000.jpg", base.parent / "secret")
    return base


@pytest.fixture(scope="session")
def address(network: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app, served from this process."""
    asked.clear()
    uploads = str(tmp_path_factory.mktemp("uploads"))
    made = build(["vision"], Options(model=str(network), folder=str(folder)), uploads=uploads)
    yield start(made, host="127.0.0.1", port=None, warn=pytest.fail)
    made.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The app in a window of its own. A request to anywhere else, or an error in the page, fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(WAIT_MILLISECONDS)
    wrong: list[str] = []
    context.on("request", lambda request: None if is_local(request.url, address) else wrong.append(request.url))
    opened = context.new_page()
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.goto(address)
    opened.get_by_role("button", name="Choose an image").wait_for()
    opened.locator(".bs-voice").wait_for(state="attached")  # page.js has run
    yield opened
    context.close()
    assert not wrong
    assert set(asked) <= set(LOOPBACK)


def is_local(url: str, address: str) -> bool:
    return url.startswith((address, "data:", f"blob:{address}"))
