"""Deep features + LogisticRegression on Spark, against plain timm + scikit-learn: `python benchmarks/features.py`.

1,730 real pictures (`samples.dermoscopy()`, less the pairs of two images), split by source image, through pretrained
efficientnet_lite0. Interleaved rounds, each contender in a fresh process; start and load are told apart. Goals: total
seconds (fit and answer) at most 1.3 × those of plain Python in the same precision, and accuracies whose difference is
0 within its paired bootstrap interval.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import probe
from ratios import Spread, ratio, spread

GOAL = 1.3
RESULT = Path(__file__).parent / "results" / "features.json"
CORES = len(os.sched_getaffinity(0))
RESAMPLES = 2_000
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain float32": ("run_plain", {"processes": CORES, "threads": 1, "bfloat16": False}),
    "plain float32, 1 process": ("run_plain", {"processes": 1, "threads": CORES, "bfloat16": False}),
    "plain bfloat16": ("run_plain", {"processes": CORES, "threads": 1, "bfloat16": True}),
    "brightspark float32": ("run_spark", {"precision": "float32"}),
    "brightspark bfloat16": ("run_spark", {"precision": "bfloat16"}),
}
RIVALS = {"brightspark float32": "plain float32", "brightspark bfloat16": "plain bfloat16"}


def main() -> int:
    """Measure, print and keep; the exit code is 1 where a goal is missed."""
    options = arguments()
    if options.contender:
        return run_here(options)
    described = machine.describe()
    print(machine.headline(described))
    train, test = probe.split()
    print(f"{len(train)} pictures to learn from, {len(test)} to be tested on")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only or CONTENDERS}
    for number in range(options.rounds):
        for name in _rotated(list(runs), number):
            runs[name].append(run_apart(name, options))
            print(f"round {number + 1} {name}: {_seconds(runs[name][-1])}", flush=True)
    truths = {Path(pair.path).name: pair.label for pair in test[: options.pictures]}
    found = summary(runs, truths)
    print(as_text(found))
    if options.pictures is None and not options.only:
        RESULT.parent.mkdir(exist_ok=True)
        for run in (run for some in runs.values() for run in some):
            del run["labels"]
        RESULT.write_text(json.dumps({"machine": described, **found, "runs": runs}, indent=1) + "\n")
    return 0 if all(goal["met"] for goal in found["goals"].values()) else 1


def run_here(options: argparse.Namespace) -> int:
    """One contender in this process."""
    function, settings = CONTENDERS[options.contender]
    train, test = (pairs[: options.pictures] for pairs in probe.split())
    run = getattr(probe, function)(train, test, **settings)
    options.out.write_text(json.dumps(run.to_dict()))
    return 0


def run_apart(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One contender in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as scratch:
        out = Path(scratch, "run.json")
        command = [sys.executable, __file__, "--contender", name, "--out", str(out)]
        if options.pictures:
            command += ["--pictures", str(options.pictures)]
        subprocess.run(command, check=True)
        run: dict[str, Any] = json.loads(out.read_text())
    return {**run, "total": run["fit"] + run["answer"], "load_average": os.getloadavg()[0]}


def summary(runs: dict[str, list[dict[str, Any]]], truths: dict[str, str]) -> dict[str, Any]:
    """Spreads of the seconds, accuracies of the first round, and the goals."""
    right = {name: _right(some[0]["labels"], truths) for name, some in runs.items()}
    table = {
        name: {phase: spread([run[phase] for run in some]) for phase in ("start", "load", "fit", "answer", "total")}
        | {"accuracy": float(right[name].mean())}
        for name, some in runs.items()
    }
    goals = {}
    for name, rival in RIVALS.items():
        if name in runs and rival in runs:
            times: Spread | None = ratio(_totals(runs[name]), _totals(runs[rival]))
            assert times is not None
            lower, upper = _difference(right[name], right[rival])
            met = times.median <= GOAL and lower <= 0 <= upper
            goals[name] = {"rival": rival, "times": times, "accuracy_difference": [lower, upper], "met": met}
    return {"table": table, "goals": goals}


def as_text(found: dict[str, Any]) -> str:
    """The tables, in Markdown."""
    lines = ["", "| contender | start | load | fit | answer | fit + answer | accuracy |", "|" + " --- |" * 7]
    for name, row in found["table"].items():
        seconds = " | ".join(str(row[phase]) for phase in ("start", "load", "fit", "answer", "total"))
        lines.append(f"| {name} | {seconds} | {row['accuracy']:.4f} |")
    lines += ["", "| goal | ÷ | seconds | accuracy, difference | |", "|" + " --- |" * 5]
    for name, goal in found["goals"].items():
        lower, upper = goal["accuracy_difference"]
        verdict = "met" if goal["met"] else "**short**"
        lines.append(f"| {name} | {goal['rival']} | {goal['times']} | [{lower:+.4f}, {upper:+.4f}] | {verdict} |")
    return "\n".join(lines)


def _right(labels: dict[str, str], truths: dict[str, str]) -> np.ndarray:
    """Whether each test picture got its label, in the order of the names."""
    assert labels.keys() == truths.keys()
    return np.array([labels[name] == truths[name] for name in sorted(truths)], float)


def _difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the difference of two accuracies on the same pictures: paired bootstrap, percentiles."""
    chosen = np.random.default_rng(0).integers(0, len(ours), (RESAMPLES, len(ours)))
    lower, upper = np.quantile((ours - theirs)[chosen].mean(axis=1), [0.025, 0.975])
    return float(lower), float(upper)


def _totals(runs: Sequence[dict[str, Any]]) -> dict[int, float]:
    return {number: run["total"] for number, run in enumerate(runs)}


def _rotated(names: list[str], number: int) -> list[str]:
    first = number % len(names)
    return [*names[first:], *names[:first]]


def _seconds(run: dict[str, Any]) -> str:
    return ", ".join(f"{phase} {run[phase]:.1f} s" for phase in ("start", "load", "fit", "answer", "total"))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, help="so many of either half: a small look, not kept")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="run these contenders only; not kept")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)  # in this process
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
