"""How a demo's training tells a person how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

SAID_EVERY = 10  # seconds


def say_progress(section: str, say: Callable[[str], None]) -> Callable[[Mapping[str, Any]], None]:
    """Tells each epoch of a training's journal, and the steps in between now and then."""
    told = time.monotonic()

    def watch(line: Mapping[str, Any]) -> None:
        nonlocal told
        if line["kind"] == "epoch":
            share = f"{line['accuracy']:.3f}" if "accuracy" in line else "unknown"
            say(f"{section}: epoch {line['epoch'] + 1}, accuracy {share} on the validation rows")
        elif line["kind"] == "step" and time.monotonic() - told > SAID_EVERY:
            told = time.monotonic()
            say(f"{section}: step {line['step']:,} of {line['steps']:,}, loss {line['loss']:.2f}")

    return watch
