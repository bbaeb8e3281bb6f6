"""Runs that are kept in a file of results as soon as they have ended, so that a call goes on where one was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apart


class Kept:
    """A part's record in a file of results: what has run already, and what follows from it."""

    def __init__(self, file: Path, name: str, setting: dict[str, Any], machine: dict[str, object]) -> None:
        self.file, self.name = file, name
        found = self._parts().get(name, {})
        runs = found["runs"] if found.get("setting") == setting else {}
        self.record: dict[str, Any] = {"setting": setting, "machine": machine, "runs": runs}

    def run(self, target: str, seed: int, settings: dict[str, Any], name: str = "", **where: Any) -> dict[str, Any]:
        """What `module:contender` found with a seed: now, or in an earlier call with equal settings.

        `where` is told to it as well, and changes nothing of what it finds.
        """
        runs = self.record["runs"].setdefault(name or target.partition(":")[2], {})
        found = runs.get(str(seed))
        if found is None or found["settings"] != settings:
            found = runs[str(seed)] = {**apart.call(target, seed=seed, **settings, **where), "settings": settings}
            self.save()
        return dict(found)

    def save(self) -> None:
        """Beside it, and renamed: a call that is killed leaves the file whole."""
        self.file.parent.mkdir(exist_ok=True)
        made = self.file.with_suffix(".made")
        made.write_text(json.dumps({"parts": {**self._parts(), self.name: self.record}}, indent=1) + "\n")
        made.replace(self.file)

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = json.loads(self.file.read_text())["parts"] if self.file.exists() else {}
        return parts
