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

from pathlib import Path

import part_by_part
from recommending import als, lists, towers

RESULT = Path(__file__).parent / "results" / "recommend.json"
PARTS: part_by_part.Parts = {  # and its rounds
    "lists": (lists.measure, 5),
    "growth": (lists.measure_growth, 3),
    "als": (als.measure, 3),
    "towers": (towers.measure, 5),
}

if __name__ == "__main__":
    part_by_part.main(__doc__, PARTS, RESULT)
