"""Seconds that `brightspark --help` takes: `python benchmarks/startup.py`. Goal: a median of at most 0.5 s."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import machine
from ratios import spread

GOAL = 0.5  # seconds
RESULT = Path(__file__).parent / "results" / "startup.json"


def seconds(command: list[str]) -> float:
    """Wall time of one call, from nothing to its end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    command = [str(Path(sys.executable).with_name("brightspark")), "--help"]
    described = machine.describe()
    print(machine.headline(described))
    taken = spread([seconds(command) for _ in range(options.times)])
    print(f"brightspark --help, {options.times} times: {taken} s, goal {GOAL} s: ", end="")
    print("met" if taken.median <= GOAL else "SHORT")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"machine": described, "seconds": taken, "goal": GOAL}, indent=1) + "\n")


if __name__ == "__main__":
    main()
