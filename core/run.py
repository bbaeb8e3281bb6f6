"""A training's folder: what is to be done, and what becomes of it. Knows no Spark."""

from __future__ import annotations

import importlib
import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.errors import BrightsparkError, InputError, one_line
from brightspark.core.loader import Skipped
from brightspark.core.training_settings import TrainingSettings

if TYPE_CHECKING:
    from brightspark.core.task import Task

TODO, RESULT, WEIGHTS, METRICS = "run.json", "result.json", "weights.safetensors", "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training: the folder that all ranks see, and what `run.json` in it says."""

    folder: Path

    builder: str
    """`module:function`, called as `function(facts)`; it returns a Task."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the builder needs to know, as JSON: the architecture, the labels, the solution's own settings."""

    training: str
    """Path of the staged rows to train on."""

    validation: str | None = None
    """Path of the staged rows to measure on after each epoch."""

    settings: TrainingSettings

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Raises InputError where there is no `run.json`, or a damaged one."""
        file = folder / TODO
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            return cls(**{**raw, "folder": folder, "settings": TrainingSettings(**raw["settings"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} is no training that can be run: {error!r}") from error

    def write(self) -> None:
        """Writes `run.json`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        said = {**asdict(self), "facts": dict(self.facts)}
        del said["folder"]
        _write(self.folder / TODO, json.dumps(said, indent=1))

    def task(self) -> Task:
        """The task that the builder makes of the facts."""
        module, _, name = self.builder.partition(":")
        made: Task = getattr(importlib.import_module(module), name)(self.facts)
        return made

    @property
    def snapshots(self) -> Path:
        """The folder of the snapshots."""
        return self.folder / "snapshots"

    def keep_error(self, rank: int, error: BaseException) -> None:
        """Puts what a rank raised where the driver finds it."""
        said = {
            "rank": rank,
            "error": one_line(error, limit=2_000),
            "ours": isinstance(error, BrightsparkError),
            "traceback": "".join(traceback.format_exception(error)),
        }
        _write(self.folder / "errors" / f"rank-{rank}.json", json.dumps(said, indent=1))

    def errors(self) -> list[dict[str, Any]]:
        """What ranks raised in the last launch."""
        return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(self.folder.glob("errors/rank-*.json"))]

    def forget_errors(self) -> None:
        """Before another launch."""
        for file in self.folder.glob("errors/rank-*.json"):
            file.unlink()

    def result(self) -> dict[str, Any] | None:
        """What `result.json` holds; None while the training has not ended."""
        file = self.folder / RESULT
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    def keep_skipped(self, rank: int, epoch: int, skipped: Sequence[Skipped]) -> None:
        """Adds the records that a rank could not read to its list."""
        lines = [json.dumps({"epoch": epoch, "row": one.row, "reason": one.reason}) + "\n" for one in skipped]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"skipped-{rank}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def keep_result(self, result: Mapping[str, Any]) -> None:
        """Writes `result.json`: who sees it knows that the training has ended."""
        _write(self.folder / RESULT, json.dumps(result, indent=1))


def _write(file: Path, text: str) -> None:
    """All at once: a reader sees the old text or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
