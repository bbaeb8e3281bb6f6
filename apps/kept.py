"""The models that the demo kept, for the tabs of solutions whose weights no registry ships."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TypeVar

from brightspark.apps.frame import say
from brightspark.core.demo_models import find
from brightspark.core.errors import BrightsparkError

M = TypeVar("M")


def of_demo(name: str, opened: Callable[[str], M]) -> M | None:
    """The model that the demo kept under this name, as `opened` opens a folder, if there is one that can be used."""
    folder = find(name)
    if folder is None:
        return None
    try:
        return opened(str(folder))
    except BrightsparkError as error:  # damaged, or of another version: the other parts go on
        say(f"the demo's model {name} cannot be used: {error}")
        return None


def absent(solution: str, does: str) -> str:
    """The sentence for a part without a model that does something, as HTML."""
    solution = escape(solution)
    return (
        f'<p class="bs-note">There is no model here that {escape(does)}. <code>brightspark demo --only '
        f"{solution}</code> trains one in a few minutes, and the app finds it when it starts; or start it with "
        f"<code>--only {solution} --model</code> and the name of one.</p>"
    )
