"""One measurement in a process of its own: `apart.call("training.feed:ours", rows=1000)` gives what `ours` returns."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def call(target: str, *, environment: Mapping[str, str] | None = None, **settings: Any) -> Any:
    """What `module:function` returns for the settings, called in a fresh process; all of it must be JSON."""
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as folder:
        out = Path(folder, "out.json")
        given = {**os.environ, **(environment or {})}
        path = os.pathsep.join(filter(None, [str(HERE), given.get("PYTHONPATH", "")]))
        subprocess.run(
            [sys.executable, str(HERE / "apart.py"), target, json.dumps(settings), str(out)],
            check=True,
            env={**given, "PYTHONPATH": path},
        )
        return json.loads(out.read_text())


def rotated(names: list[str], number: int) -> list[str]:
    """Another one first in every round."""
    first = number % len(names)
    return [*names[first:], *names[:first]]


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    found = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(found))
