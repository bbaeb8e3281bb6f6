"""A training's folder: what is to be done, and what becomes of it. Knows no Spark."""

from __future__ import annotations

import importlib
import json
import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.batches import Skipped
from brightspark.core.errors import BrightsparkError, InputError, StorageError, one_line
from brightspark.core.shards import Shards
from brightspark.core.training_settings import TrainingSettings

if TYPE_CHECKING:
    from brightspark.core.task import Task

_log = logging.getLogger(__name__)

# What another launch would raise again: our own, and mistakes in a task's code.
FINAL = (
    BrightsparkError, ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, SyntaxError,
    TypeError, ValueError, NotImplementedError,
)  # fmt: skip

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

    digests: Mapping[str, str] = field(default_factory=dict)
    """What `write` found staged at those paths: other rows would make it another training."""

    launch: str = ""
    """Names the launch that may write; a rank of an earlier one that still lives stops when it sees another."""

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Raises InputError where there is no `run.json`, or a damaged one."""
        file = folder / TODO
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            return cls(**{**raw, "folder": folder, "settings": TrainingSettings(**raw["settings"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} is no training that can be run: {error!r}") from error

    def write(self) -> Run:
        """Writes `run.json`, and returns what stands in it.

        What is staged is noted where it is not yet: a launch after a death must find the same rows. Raises InputError
        where nothing is staged at one of the paths, StorageError where it cannot be written.
        """
        paths = [path for path in (self.training, self.validation) if path is not None]
        written = replace(self, digests=self.digests or {path: Shards.open(path).manifest.digest for path in paths})
        said = {**asdict(written), "facts": dict(self.facts)}
        del said["folder"]
        try:
            _write(self.folder / TODO, json.dumps(said, indent=1))
        except OSError as error:
            raise StorageError(f"the run's folder {self.folder} cannot be written: {one_line(error)}") from error
        return written

    def staged(self, path: str) -> Shards:
        """What is staged at one of the run's paths; raises InputError where it is not what it was."""
        shards = Shards.open(path)
        if shards.manifest.digest != self.digests.get(path):
            raise InputError(
                f"{path} holds other rows than when the training in {self.folder} began: name another folder, or "
                "delete this one"
            )
        return shards

    def is_current(self) -> bool:
        """Whether no other launch of this training has begun."""
        return Run.open(self.folder).launch == self.launch

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
        """Puts what a rank raised where the driver finds it; a disk that is full keeps it from that, and no more."""
        said = {
            "time": time.time(),
            "rank": rank,
            "error": one_line(error, limit=2_000),
            "final": isinstance(error, FINAL),
            "consequence": _follows(error),
            "traceback": "".join(traceback.format_exception(error)),
        }
        try:
            _write(self._errors / f"rank-{rank}.json", json.dumps(said, indent=1))
        except OSError as failed:
            _log.warning("rank %d cannot write down its error: %s", rank, one_line(failed))

    def errors(self) -> list[dict[str, Any]]:
        """What ranks of this launch raised, the first one first."""
        found = [json.loads(file.read_text(encoding="utf-8")) for file in self._errors.glob("rank-*.json")]
        return sorted(found, key=lambda said: float(said["time"]))

    @property
    def _errors(self) -> Path:
        return self.folder / "errors" / self.launch

    def result(self) -> dict[str, Any] | None:
        """What `result.json` holds; None while the training has not ended."""
        file = self.folder / RESULT
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    def keep_skipped(self, rank: int, epoch: int, skipped: Sequence[Skipped]) -> None:
        """Adds the records that a rank could not read to its list."""
        lines = [json.dumps({"epoch": epoch, "row": one.row, "reason": one.reason}) + "\n" for one in skipped]
        with (self.folder / f"skipped-{rank}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def keep_result(self, result: Mapping[str, Any]) -> None:
        """Writes `result.json`: who sees it knows that the training has ended."""
        _write(self.folder / RESULT, json.dumps(result, indent=1))


def _follows(error: BaseException) -> bool:
    """Whether an error is what another rank's end looks like from here."""
    words = ("closed by peer", "connection reset", "gloo", "nccl", "broken pipe", "socket", "timed out waiting")
    return isinstance(error, RuntimeError | OSError) and any(word in str(error).lower() for word in words)


def _write(file: Path, text: str) -> None:
    """All at once: a reader sees the old text or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
