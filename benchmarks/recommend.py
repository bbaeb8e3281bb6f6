"""Learning and recommending at scale: `python benchmarks/recommend.py [PART ...] [--rounds N]`.

    lists      the 10 best of 50,000 items for each of 200,000 users, by 64 factors: users a second, against numpy's
               blocked product with argpartition and implicit's own batch, and how much memory each takes
    growth     the same through Spark for 1×, 3× and 10× the users
    als        5 million synthetic ratings with a power law: learn and write 10 items for every user, against Spark's
               ALS with recommendForAllUsers, same factors and iterations
    towers     two towers: users learned from a second, against the plain loop with the same network and batches

Each run is a process of its own. What is kept lies in `results/recommend.json`, part by part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from recommending import als, lists, towers

RESULT = Path(__file__).parent / "results" / "recommend.json"
PARTS: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {  # and its rounds
    "lists": (lists.measure, 5),
    "growth": (lists.measure_growth, 3),
    "als": (als.measure, 3),
    "towers": (towers.measure, 5),
}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--rounds", type=int, help="another number of rounds: a look, not kept")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"{sorted(unknown)[0]!r} is none of {', '.join(PARTS)}")
    described = machine.describe()
    print(machine.headline(described))
    for name in options.parts or PARTS:
        print(f"\n{name}", flush=True)
        measure, rounds = PARTS[name]
        found = measure(options.rounds or rounds)
        if not options.rounds:
            kept = json.loads(RESULT.read_text()) if RESULT.exists() else {}
            kept[name] = {"machine": described, **found}
            RESULT.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
