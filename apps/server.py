"""How the page is served: to this machine unless asked otherwise, and with nothing from anywhere else in it."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import gradio as gr
from gradio import processing_utils
from starlette.middleware import Middleware

from brightspark.core.errors import SetupError

MAX_UPLOAD_BYTES = 64 << 20  # a file; one that is larger is refused while it arrives
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "Arial", "sans-serif")

# Gradio builds functions and styles in the page; nothing may be loaded from, or sent to, another server.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

Message = MutableMapping[str, Any]
Asgi = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def start(page: gr.Blocks, *, host: str, port: int | None, warn: Callable[[str], None]) -> str:
    """Serves the page on threads of its own; returns its address. `page.close()` ends it.

    Raises SetupError where the port is taken or the host is not this machine's.
    """
    if not is_loopback(host):
        warn(
            f"listening on {host}: whoever reaches this machine there can use the app, without a password and "
            "without encryption"
        )
    processing_utils.async_ssrf_protected_get = fetch_nothing
    # Gradio asks its own server whether it is there: not by way of a proxy.
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), *sorted(LOOPBACK | {host})]))
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            show_error=True,
            max_file_size=MAX_UPLOAD_BYTES,
            app_kwargs={
                "middleware": [Middleware(Guard, host=host)],
                "docs_url": None,
                "redoc_url": None,
                "openapi_url": None,
            },
            theme=theme(),
            css_paths=Path(__file__).with_name("page.css"),
            js=Path(__file__).with_name("page.js").read_text(encoding="utf-8"),
        )
    except OSError as error:
        wanted = host if port is None else f"{host}:{port}"
        raise SetupError(f"cannot listen on {wanted} ({error}); name another by --port or --host") from error
    return str(url)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def fetch_nothing(url: str) -> NoReturn:
    """Takes the place of Gradio's own way to fetch a file: a request may name a URL where the page sends an upload."""
    raise PermissionError(f"this app fetches nothing from elsewhere: {url}")


class Guard:
    """Answers this page's own requests only, and tells the browser to load nothing from elsewhere.

    Any website can send a browser to this app under a name of its own (DNS rebinding): so the Host must be one of this
    machine's names or, where the app listens on more than the loopback interface, an address. What browsers tell about
    where a request comes from (Origin, Sec-Fetch-Site) must be this page. Gradio's ways to fetch URLs are closed.
    """

    def __init__(self, app: Asgi, host: str) -> None:
        self.app = app
        self.addresses = not is_loopback(host)
        self.names = LOOPBACK | {host.lower()}
        if self.addresses:
            self.names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        path, headers = scope["path"], {name: value.decode("latin-1") for name, value in scope["headers"]}
        if fetches(path) or not (self._is_this(headers.get(b"host", "")) and is_own(path, headers)):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"not from this page, or not by this machine's name"})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self.app(scope, receive, with_headers)

    def _is_this(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self.names or (self.addresses and bool(ipaddress.ip_address(name)))
        except ValueError:
            return False


def fetches(path: str) -> bool:
    """Whether Gradio would get a path's content from another server, for whoever asks.

    >>> fetches("/gradio_api/proxy=any.host/x"), fetches("/gradio_api/file=/tmp/x")
    (True, False)
    """
    return "/file=http" in path or "/proxy=" in path


def is_own(path: str, headers: dict[bytes, str]) -> bool:
    """Whether a request comes from this page, from a person who opens it, or from a program that is no browser.

    >>> is_own("/config", {b"sec-fetch-site": "cross-site"}), is_own("/config", {b"sec-fetch-site": "same-origin"})
    (False, True)
    """
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin).netloc != headers.get(b"host"):
        return False
    if headers.get(b"sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    return path == "/" and headers.get(b"sec-fetch-mode") == "navigate"  # a link elsewhere that leads here


def theme() -> gr.themes.Base:
    """The report's colours and this machine's own fonts."""
    made = gr.themes.Base(
        primary_hue="amber", neutral_hue="stone", font=list(FONTS), font_mono=["ui-monospace", "monospace"]
    )
    return made.set(
        body_background_fill="#f6f6f4",
        body_background_fill_dark="#131517",
        body_text_color="#1a1d21",
        body_text_color_dark="#eceef0",
        body_text_color_subdued="#565d66",
        body_text_color_subdued_dark="#a4acb5",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1c1f22",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1c1f22",
        input_background_fill="#f6f6f4",
        input_background_fill_dark="#272b2f",
        border_color_primary="#e1e1dc",
        border_color_primary_dark="#30353a",
        button_primary_background_fill="#a34a06",
        button_primary_background_fill_hover="#8a3e05",
        button_primary_background_fill_dark="#fbb454",
        button_primary_background_fill_hover_dark="#fcc678",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#1a1d21",
    )
