"""Interleaved rounds: every contender once a round, each run in a process of its own, every run kept at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
from contenders.job import Contender, Job, Settings

RUN_SECONDS = 1800  # after which a run is ended and counted as failed


class RunError(Exception):
    """A contender's process failed; the message holds the end of what it said."""


@dataclass
class Record:
    """What was measured of one model, kept in a file after every run, so that a second call goes on from there."""

    path: Path
    choices: dict[str, Any] = field(default_factory=dict)
    """By contender: the settings that were kept, and images/s of all that were tried."""
    runs: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> Record:
        """The record in a file, or an empty one."""
        return cls(path, **json.loads(path.read_text())) if path.exists() else cls(path)

    def save(self) -> None:
        """Write beside and rename, so that an interrupted call leaves the last whole record."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps({"choices": self.choices, "runs": self.runs}, indent=1) + "\n")
        beside.replace(self.path)

    def has(self, contender: str, number: int) -> bool:
        """Whether that contender has run in that round."""
        return any(run["contender"] == contender and run["round"] == number for run in self.runs)

    def rates(self, contender: str) -> dict[int, float]:
        """Images per second by round."""
        return {run["round"]: run["images_per_second"] for run in self.runs if run["contender"] == contender}


@dataclass(frozen=True)
class Deadline:
    """When to start no further run."""

    at: float

    @classmethod
    def after(cls, minutes: float | None) -> Deadline:
        """So many minutes from now; None: never."""
        return cls(float("inf") if minutes is None else time.monotonic() + 60 * minutes)

    @property
    def passed(self) -> bool:
        """Whether it is time to stop."""
        return time.monotonic() >= self.at


def choose(
    record: Record, contenders: Mapping[str, Contender], job: Job, deadline: Deadline, say: Callable[[str], None]
) -> None:
    """Try every contender's settings once, on the images of `job`, and keep the fastest."""
    for name, contender in contenders.items():
        choice = record.choices.setdefault(name, {"settings": None, "tried": []})
        done = [tried["settings"] for tried in choice["tried"]]
        for settings in contender.choices if len(contender.choices) > 1 else ():
            if settings in done or choice["settings"] is not None:
                continue
            if deadline.passed:
                return
            try:
                timing = run_once(name, settings, job)
            except RunError as error:
                say(f"trying {name} {_short(settings)} failed:\n{error}")
                timing = {"images_per_second": 0.0}
            choice["tried"].append({"settings": dict(settings), "images_per_second": timing["images_per_second"]})
            record.save()
            say(f"trying {name} {_short(settings)}: {timing['images_per_second']:.1f} images/s")
        tried = choice["tried"] or [{"settings": dict(contender.choices[0]), "images_per_second": 0.0}]
        choice["settings"] = max(tried, key=lambda one: float(one["images_per_second"]))["settings"]
        record.save()


def run_rounds(
    record: Record, contenders: Sequence[str], job: Job, count: int, deadline: Deadline, say: Callable[[str], None]
) -> list[str]:
    """Run what is missing of `count` rounds; who goes first changes from round to round. Names the failed."""
    failed: list[str] = []
    for number in range(count):
        first = number % len(contenders)
        for name in [*contenders[first:], *contenders[:first]]:
            if record.has(name, number) or name in failed or record.choices[name]["settings"] is None:
                continue
            if deadline.passed:
                return failed
            try:
                timing = run_once(name, record.choices[name]["settings"], job)
            except RunError as error:
                failed.append(name)
                say(f"{name} failed:\n{error}")
                continue
            record.runs.append({"contender": name, "round": number, **timing})
            record.save()
            say(
                f"round {number + 1}/{count} {name}: {timing['images_per_second']:.1f} images/s (score "
                f"{timing['score']:.1f} s, start {timing['start']:.1f}, load {timing['load']:.1f})"
            )
    return failed


def run_once(contender: str, settings: Settings, job: Job) -> dict[str, Any]:
    """One run in a fresh process: its seconds, images/s, warm-up answers, and the machine's load before it.

    Raises:
        RunError: the process ended with an error, or ran longer than RUN_SECONDS.
    """
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as scratch:
        out, log = Path(scratch, "timing.json"), Path(scratch, "log")
        command = [sys.executable, "-m", "contenders", contender, "--settings", json.dumps(dict(settings))]
        command += ["--images", str(job.images), "--warm-up", str(job.warm_up), "--model", str(job.model)]
        command += ["--cores", str(job.cores), "--out", str(out)]
        with log.open("w") as said:
            process = subprocess.Popen(
                command,
                cwd=scratch,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(RUN_SECONDS)
            except subprocess.TimeoutExpired:
                said.write(f"ended after {RUN_SECONDS} s\n")
            finally:
                _end_group(process)
        if not out.exists():
            raise RunError("\n".join(log.read_text().splitlines()[-15:]))
        timing: dict[str, Any] = json.loads(out.read_text())
    images = len(list(job.images.glob("*.jpg")))
    return {
        **timing,
        "images_per_second": images / timing["score"],
        "load_average": load_average,
        "commit": machine.commit(),
    }


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what the run left behind (JVM, Ray's daemons): its own process group only."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _short(settings: Settings) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
