"""The page around the tabs, and `brightspark app` from its options to a server that answers."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from brightspark.apps.options import Options
from brightspark.core.errors import InputError, MissingExtraError, did_you_mean
from brightspark.core.requirements import installed_solutions
from brightspark.core.solutions import load, solutions

if TYPE_CHECKING:
    import gradio as gr

KEPT_SECONDS = 3_600  # how long an uploaded file stays on disk while the app runs
HEADER = """<h1 class="bs-brand"><svg viewBox="0 0 16 16" aria-hidden="true">
<path d="M9.5 0 2 9.2h5L5.7 16 14 6.4H8.6z"/></svg>brightspark</h1>"""


def run_app(
    *, host: str, port: int | None = None, model: str | None = None, folder: str | None = None, only: Sequence[str] = ()
) -> None:
    """Serves the app until it is interrupted. What was uploaded is deleted then.

    Raises InputError for a solution that has no tab, or a model while several tabs would get it, SetupError for a
    port that is taken, and MissingExtraError without Gradio.
    """
    check_gradio()
    names = chosen(only, model)
    from brightspark.apps.server import start

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends a container ends like Ctrl+C
    with tempfile.TemporaryDirectory(prefix="brightspark-app-") as uploads:
        for name in () if only else sorted({*solutions("app")} - {*names}):
            say(f"no tab of {name}, which is not installed: pip install 'brightspark[{name}]'")
        say(f"loading {', '.join(names)}")
        page = build(names, Options(model=model, folder=folder), uploads=uploads)
        url = start(page, host=host, port=port, warn=say)
        say(f"{url} (Ctrl+C ends it)")
        try:
            page.block_thread()
        finally:
            page.close()


def chosen(only: Sequence[str], model: str | None) -> list[str]:
    """The solutions whose tabs are shown: those that are asked for, or all that have one and are installed."""
    known = solutions("app")
    for name in only:
        if name not in known:
            raise InputError(f"there is no tab of {name!r}; {did_you_mean(name, known)}")
    names = list(dict.fromkeys(only)) or [name for name in known if name in installed_solutions()] or known
    if model is not None and len(names) > 1:
        raise InputError(f"--model is for one tab, and there are {', '.join(names)}; choose one by --only")
    return names


def build(names: Sequence[str], options: Options, *, uploads: str) -> gr.Blocks:
    """The page with the tabs of these solutions. Uploaded files go into the folder `uploads`."""
    check_gradio()
    # Gradio reads both when it is imported and when a page is built.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = uploads
    import gradio as gr

    page: gr.Blocks = gr.Blocks(title="brightspark", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS))
    with page:
        gr.HTML(HEADER)
        usable = []
        with gr.Tabs() as tabs:
            for name in names:
                solution = load(name, "app")
                with gr.Tab(solution.TITLE, id=name):
                    usable += [name] if solution.tab(options) else []
        tabs.selected = (usable or names)[0]
    return page


def check_gradio() -> None:
    """Raises MissingExtraError, with the command that helps, where Gradio is not installed."""
    if find_spec("gradio") is None:
        raise MissingExtraError("the app needs gradio: pip install 'brightspark[app]'")


def say(message: str) -> None:
    """Tells the person at the terminal."""
    print(f"brightspark app: {message}", file=sys.stderr, flush=True)  # noqa: T201
