"""What the engine costs a record where the model costs nothing: `python benchmarks/engine.py [--against CHECKOUT]`.

    look-up    records as mappings, one number in, one number out: the engine alone
    pairs      the same through Arrow, as in a Spark worker: user and item in, a score and a rank out
    lists      a user in, ten items with their scores out, as columns of numpy

Microseconds a record on the clock, and of all threads' processor time, which what runs beside does not move. Each run
is a process of its own; `--against` measures another checkout of brightspark in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apart
import machine
import numpy as np
import pyarrow as pa
from ratios import spread

RECORDS = 60_000
BATCH = 10_000  # Spark's rows an Arrow batch, unless it is told otherwise
MODEL_BATCH = 256
K = 10
PAIR = pa.struct([("prediction", pa.float64()), ("rank", pa.int32())])
LIST = pa.struct([("item", pa.list_(pa.int64())), ("score", pa.list_(pa.float64())), ("reason", pa.list_(pa.string()))])
RESULT = Path(__file__).parent / "results" / "engine.json"
HERE = Path(__file__).parent.parent


def pairs(folder: Path, device: str, settings: Any) -> Any:
    from brightspark.core.predictor import Predictor

    return Predictor(
        columns=("user", "item"),
        answer_type=PAIR,
        split=lambda record, work: [(record["user"], record["item"])],
        prepare=list,
        predict=lambda batch: [{"prediction": 0.5, "rank": 1}] * len(batch),
        batch_cost=MODEL_BATCH,
    )


def lists(folder: Path, device: str, settings: Any) -> Any:
    from brightspark.core.predictor import Predictor

    items, scores = np.arange(K), np.linspace(1, 0, K)
    return Predictor(
        columns=("user",),
        answer_type=LIST,
        split=lambda record, work: [(record["user"], None)],
        prepare=list,
        predict=lambda batch: [{"item": items, "score": scores, "reason": []} for _ in batch],
        batch_cost=MODEL_BATCH,
    )


def look_up(records: int) -> Iterator[int]:
    from brightspark.core.predictor import Predictor
    from brightspark.core.score import Scorer

    predictor = Predictor(
        columns=("user",),
        answer_type=pa.int64(),
        split=lambda record, work: [record["user"]],
        prepare=list,
        predict=lambda batch: batch,
        batch_cost=MODEL_BATCH,
    )
    batches = ([{"user": user} for user in range(start, start + BATCH)] for start in range(0, records, BATCH))
    return map(len, Scorer(predictor).score(batches))


def through_arrow(loader: str, records: int) -> Iterator[int]:
    from brightspark.core.settings import ScoringSettings
    from brightspark.core.worker import Scoring, run

    predictor = globals()[loader](Path(), "cpu", None)
    scoring = Scoring(
        loader=f"engine:{loader}",
        artifact=None,
        settings=ScoringSettings(device="cpu"),
        columns=predictor.columns,
        answer_type=predictor.answer_type,
    )
    columns = [pa.array(np.arange(BATCH))] * len(predictor.columns)
    batch = pa.StructArray.from_arrays(columns, names=predictor.columns)
    return map(len, run(scoring, iter([batch] * (records // BATCH))))


def cost(case: str) -> dict[str, float]:
    """Microseconds a record."""

    def scored(records: int) -> int:
        return sum(look_up(records) if case == "look-up" else through_arrow(case, records))

    scored(BATCH)
    started, used = time.perf_counter(), time.process_time()
    assert scored(RECORDS) == RECORDS
    return {
        "clock": (time.perf_counter() - started) / RECORDS * 1e6,
        "processor": (time.process_time() - used) / RECORDS * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another checkout, measured in the same rounds")
    options = parser.parse_args()
    described = machine.describe()
    print(machine.headline(described))
    checkouts = {"this": HERE} | ({"other": options.against.resolve()} if options.against else {})
    runs: dict[str, dict[str, list[dict[str, float]]]] = {}
    for case in ("look-up", "pairs", "lists"):
        found = runs[case] = {name: [] for name in checkouts}
        for number in range(options.rounds):
            for name in apart.rotated(list(checkouts), number):
                path = {"PYTHONPATH": str(checkouts[name])}
                found[name].append(apart.call("engine:cost", environment=path, case=case))
        for name, each in found.items():
            clock, processor = (spread([run[kind] for run in each]) for kind in ("clock", "processor"))
            print(f"{case:>8}, {name:<5}: {clock} µs a record on the clock, {processor} of processors", flush=True)
    RESULT.write_text(json.dumps({"machine": described, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
