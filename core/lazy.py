"""Public names that are imported when they are first used, so that `import brightspark.vision` loads no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__` (PEP 562).

    `homes` names the module that each public name is in, and behind a colon what it is called there, if otherwise.

    >>> lazily("brightspark.core", {"one_line": "brightspark.core.errors"})("one_line").__module__
    'brightspark.core.errors'
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - it becomes the package's own
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, there = homes[name].partition(":")
        return getattr(importlib.import_module(module), there or name)

    return __getattr__
