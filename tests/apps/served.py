"""The app in this process, and windows of a browser that look at it by way of the loopback interface."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from brightspark.apps.frame import build
from brightspark.apps.options import Options
from brightspark.apps.server import start

LOOPBACK = ("127.0.0.1", "::1", "localhost")
WAIT_MILLISECONDS = 120_000  # for a machine that is busy: Spark's workers start

# The hosts that this process connected to or looked up. An audit hook cannot be taken off.
asked: list[str] = []


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        asked.append(str(arguments[1][0]))
    elif event == "socket.getaddrinfo" and arguments[0] is not None:
        asked.append(str(arguments[0]))


sys.addaudithook(listen)


@contextmanager
def served(names: Sequence[str], options: Options, uploads: str) -> Iterator[str]:
    """The app with the tabs of these solutions; yields its address."""
    asked.clear()
    before = os.environ.get("GRADIO_TEMP_DIR", "")
    made = build(names, options, uploads=uploads)
    address = start(made, host="127.0.0.1", port=None, warn=pytest.fail)
    assert set(asked) <= set(LOOPBACK)
    try:
        yield address
    finally:
        made.close()
        os.environ["GRADIO_TEMP_DIR"] = before  # of an app that is served beside this one


@contextmanager
def window(browser: Browser, address: str, ready: str, *, role: Any = "button") -> Iterator[Page]:
    """The app in a window of its own, once the button `ready` is there.

    A request to anywhere else, by the page or this process, or an error in the page, fails the test.
    """
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(WAIT_MILLISECONDS)
    wrong: list[str] = []
    context.on("request", lambda request: None if is_local(request.url, address) else wrong.append(request.url))
    before = len(asked)
    opened = context.new_page()
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.goto(address)
    opened.get_by_role(role, name=ready).wait_for()
    opened.locator(".bs-voice").wait_for(state="attached")  # page.js has run
    yield opened
    context.close()
    assert not wrong
    assert set(asked[before:]) <= set(LOOPBACK)


def is_local(url: str, address: str) -> bool:
    return url.startswith((address, "data:", f"blob:{address}"))
