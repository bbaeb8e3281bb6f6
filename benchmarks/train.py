"""Feeding, training and surviving, against who does it otherwise: `python benchmarks/train.py [PART ...]`.

    feed       columns of numbers into batches, against the private feed of Spark's TorchDistributor
    records    shuffled records of 50 KB, against streaming libraries and plain pyarrow
    staging    `stage` against Spark's Parquet write
    ddp        resnet18 on two ranks, against DDP written by hand
    snapshots  what a snapshot every 50 steps costs
    recovery   seconds from a rank's death to the next step
    growth     1×, 3× and 10× the rows: time and memory

MosaicML Streaming wants other versions than ours; with MOSAICML_STREAMING=FOLDER it is taken from a folder
(`pip install --target FOLDER mosaicml-streaming`). Results are kept in `results/train.json`, part by part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from training import ddp, feed, growth, records, recovery, staging

RESULT = Path(__file__).parent / "results" / "train.json"
PARTS: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {  # and its rounds
    "feed": (feed.measure, 3),
    "records": (records.measure, 3),
    "staging": (staging.measure, 5),
    "ddp": (ddp.measure, 5),
    "snapshots": (ddp.measure_snapshots, 3),
    "recovery": (recovery.measure, 3),
    "growth": (growth.measure, 2),
}


def main() -> None:
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
            RESULT.parent.mkdir(exist_ok=True)
            RESULT.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
