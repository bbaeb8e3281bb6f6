"""The errors brightspark raises, each with what it got, what it wanted and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BrightsparkError(Exception):
    """Every error that brightspark raises on purpose."""


class SettingError(BrightsparkError, ValueError):
    """A setting has a value that cannot work."""


class InputError(BrightsparkError, ValueError):
    """A path, a table or a column is not what the verb needs."""


class StorageError(BrightsparkError, OSError):
    """A path cannot or must not be opened: its scheme, its base or its size is not allowed, or it is not there."""


class ArtifactError(BrightsparkError):
    """A model's folder is damaged, changed, unknown or unsafe."""


class ModelError(BrightsparkError, RuntimeError):
    """The model itself fails: on every record of a first batch, or by a wrong number of answers."""


class BudgetError(BrightsparkError):
    """More records failed than were allowed."""


class SetupError(BrightsparkError, RuntimeError):
    """The machine lacks something: Java, a package, a permission."""


class MissingExtraError(BrightsparkError, ImportError):
    """A solution's libraries are not installed."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known names, or all of them when none is near.

    >>> did_you_mean("predction", ["prediction", "probability"])
    "did you mean 'prediction'?"
    >>> did_you_mean("x", ["path", "content"])
    "there are: 'path', 'content'"
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"there are: {', '.join(map(repr, names))}" if names else "there are none"


def one_line(error: BaseException, *, limit: int = 300) -> str:
    """An exception as the one line that a row's `error` holds: its type, and its message cut to `limit` characters.

    >>> one_line(ValueError("broken\\n  data"))
    'ValueError: broken data'
    """
    text = " ".join(str(error).split())
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= limit else line[: limit - 1] + "…"
