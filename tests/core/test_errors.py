"""Every error can be caught by one name; every example in core's docstrings runs."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import brightspark.core
from brightspark.core import errors

MODULES = sorted(path.stem for root in brightspark.core.__path__ for path in Path(root).glob("*.py"))


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_examples_run(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"brightspark.core.{module}")).failed == 0


def test_every_error_is_brightsparks() -> None:
    raised = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception)]
    assert len(raised) > 5
    for error in raised:
        assert issubclass(error, errors.BrightsparkError)
        assert error.__doc__


def test_a_rows_error_is_one_line_of_bounded_length() -> None:
    long = errors.one_line(ValueError("a\r\n\tb " + "x" * 1_000))
    assert long.startswith("ValueError: a b xxx")
    assert (len(long), long[-1]) == (300, "…")
    assert errors.one_line(KeyError()) == "KeyError"


def test_a_hint_without_known_names() -> None:
    assert errors.did_you_mean("x", []) == "there are none"
