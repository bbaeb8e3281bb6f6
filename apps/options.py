"""What the command line asks of the tabs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a tab is told.

    A solution's `app.py` has a TITLE, and a `tab(options)` that builds the tab's contents and returns whether they can
    be used: the app opens with the first tab that can.
    """

    model: str | None = None
    """An artifact, a folder, a hub name or `samples:NAME`; None for the tab's own choice."""

    folder: str | None = None
    """The folder below which the app may read files where it runs; None for none."""
