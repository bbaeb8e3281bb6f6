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

from pathlib import Path

import part_by_part
from training import ddp, feed, growth, records, recovery, staging

RESULT = Path(__file__).parent / "results" / "train.json"
PARTS: part_by_part.Parts = {  # and its rounds
    "feed": (feed.measure, 3),
    "records": (records.measure, 3),
    "staging": (staging.measure, 5),
    "ddp": (ddp.measure, 5),
    "snapshots": (ddp.measure_snapshots, 3),
    "recovery": (recovery.measure, 3),
    "growth": (growth.measure, 2),
}

if __name__ == "__main__":
    part_by_part.main(__doc__, PARTS, RESULT)
