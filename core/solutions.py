"""Finds the solutions by name: every folder beside core that has the module that is asked for."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import brightspark
from brightspark.core.errors import MissingExtraError


def solutions(module: str) -> list[str]:
    """The names of the solutions that have a module `module` (`cli`, `demo`, `app`), in alphabetical order.

    >>> solutions("cli")
    ['nlp', 'recsys', 'speech', 'vision']
    """
    found = {
        folder.name
        for root in brightspark.__path__
        for folder in Path(root).iterdir()
        if folder.name not in ("core", "samples", "apps") and (folder / f"{module}.py").is_file()
    }
    return sorted(found)


def load(solution: str, module: str) -> ModuleType:
    """A solution's module.

    Raises MissingExtraError, with the command that helps, where its libraries are not installed.
    """
    name = f"brightspark.{solution}.{module}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("brightspark") or find_spec(error.name.partition(".")[0]):
            raise
        raise MissingExtraError(f"{solution} needs {error.name}: pip install 'brightspark[{solution}]'") from error
