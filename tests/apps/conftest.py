"""A real browser without a window, and the app's tab on images in this process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from brightspark.apps.options import Options
from tests.apps.served import WAIT_MILLISECONDS, served, window
from tests.nlp.checkpoints import save_classifier
from tests.nlp.translators import save_translator
from tests.vision.networks import save_network
from tests.vision.pictures import save_pictures

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


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
    options = Options(model=str(network), folder=str(folder))
    with served(["vision"], options, str(tmp_path_factory.mktemp("uploads"))) as made:
        yield made


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The app in a window of its own. A request to anywhere else, or an error in the page, fails the test."""
    with window(browser, address, "Choose an image") as opened:
        yield opened


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("classifier") / "bert")


@pytest.fixture(scope="session")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_translator(tmp_path_factory.mktemp("translator") / "marian", "marian")
