"""Runs of contenders in rounds, each kept at once in a file, so that a second call goes on from there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apart
import machine
from rounds import Deadline

Run = dict[str, Any]


@dataclass
class Kept:
    """What was measured of one part."""

    path: Path
    counted: str
    """What a contender did so many of a second: texts, or tokens."""
    runs: list[Run] = field(default_factory=list)
    """Each with its contender, its round, and what the contender said."""

    @classmethod
    def open(cls, path: Path, counted: str) -> Kept:
        """What is in a file, or nothing yet."""
        return cls(path, counted, json.loads(path.read_text()) if path.exists() else [])

    def save(self) -> None:
        """Write beside and rename, so that an interrupted call leaves the last whole record."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(self.runs, indent=1) + "\n")
        beside.replace(self.path)

    def of(self, contender: str) -> list[Run]:
        """The runs of a contender."""
        return [run for run in self.runs if run["contender"] == contender]

    def rates(self) -> dict[str, dict[int, float]]:
        """What was done a second, by contender and round."""
        found: dict[str, dict[int, float]] = {}
        for run in self.runs:
            found.setdefault(run["contender"], {})[run["round"]] = run["rate"]
        return found

    def measure(self, contenders: Mapping[str, Callable[[], Run]], rounds: int, deadline: Deadline) -> bool:
        """Runs what is missing of so many rounds, another contender first in each; whether none failed."""
        failed: set[str] = set()
        for number in range(rounds):
            for name in apart.rotated(list(contenders), number):
                if name in failed or any(run["round"] == number for run in self.of(name)):
                    continue
                if deadline.passed:
                    return not failed
                load = round(os.getloadavg()[0], 2)
                try:
                    done = contenders[name]()
                except subprocess.CalledProcessError as error:
                    failed.add(name)
                    print(f"  {name} failed: its process ended with {error.returncode}", flush=True)
                    continue
                self._add(name, number, {**done, "load_average": load, "commit": machine.commit()})
        return not failed

    def _add(self, name: str, number: int, done: Run) -> None:
        amount, seconds = done[self.counted], done["seconds"]
        self.runs.append({"contender": name, "round": number, "rate": amount / seconds, **done})
        self.save()
        said = f"{amount / seconds:,.1f} {self.counted}/s ({amount:,} {self.counted} in {seconds:.1f} s)"
        print(f"  round {number + 1} {name}: {said}", flush=True)
