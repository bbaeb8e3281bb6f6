"""What a new worker costs: seconds to load a model, and memory that a second worker adds with the same model.

Run `python benchmarks/workers.py`. Two processes load the model as Spark's workers do, one after the other, and score
a batch each. PSS (/proc/PID/smaps_rollup) counts a page that n processes map as 1/n: what the second worker adds is
how much the sum over both grows. Part of that is Python, torch and its buffers: the same with a tiny model shows it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import images
import machine
from contenders.job import image_paths
from ratios import Spread, spread

LARGE, TINY = "vit_base_patch16_224", "test_vit"
MIB = 1 << 20
RESULT = Path(__file__).parent / "results" / "workers.json"


class Cost(NamedTuple):
    """Of one model: its file; seconds to load it, by worker; PSS of the first worker, and what the second adds."""

    weights_mib: float
    load_seconds: list[float]
    first_mib: float
    added_mib: float


def work(pipe: Connection, folder: str, paths: list[str]) -> None:
    """A worker: load the model, score, say how long the loading took, wait to be let go."""
    import timm  # noqa: F401 (imported before the clock starts, as in a worker that had another model)
    import torch  # noqa: F401

    from brightspark.vision import ImageClassifierModel

    model = ImageClassifierModel.pretrained(folder)
    began = time.perf_counter()
    scorer = model.scorer()
    taken = time.perf_counter() - began
    outcomes = [outcome for some in scorer.score([[{"path": path} for path in paths]]) for outcome in some]
    assert all(outcome.error is None for outcome in outcomes), outcomes[0].error
    pipe.send(taken)
    pipe.recv()


@contextmanager
def worker(folder: Path, paths: list[str]) -> Iterator[tuple[int, float]]:
    """A process that holds the model until the block ends: its id, and the seconds that loading took."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, str(folder), paths))
    process.start()
    assert process.pid is not None
    theirs.close()
    try:
        yield process.pid, ours.recv()
        ours.send(None)
    finally:
        process.join()


def pss_mib(process: int) -> float:
    """Proportional set size of a process."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / MIB
    raise ValueError(f"/proc/{process}/smaps_rollup has no line Pss")


def measure(name: str, batch: int) -> Cost:
    """Two workers with the model `name`."""
    folder = images.model_folder(name)
    paths = image_paths(images.image_folder(batch))
    with worker(folder, paths) as (first, first_seconds):
        alone = pss_mib(first)
        with worker(folder, paths) as (second, second_seconds):
            both = pss_mib(first) + pss_mib(second)
    weights = (folder / "model.safetensors").stat().st_size / MIB
    return Cost(weights, [first_seconds, second_seconds], alone, both - alone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8, help="images that each worker scores")
    options = parser.parse_args()
    described = machine.describe()
    print(machine.headline(described))
    result: dict[str, object] = {"machine": described, "settings": vars(options)}
    added: dict[str, Spread] = {}
    for name in (TINY, LARGE):
        costs = [measure(name, options.batch) for _ in range(options.times)]
        added[name] = spread([cost.added_mib for cost in costs])
        loads = spread([seconds for cost in costs for seconds in cost.load_seconds])
        first = spread([cost.first_mib for cost in costs])
        print(
            f"{name}: weights {costs[0].weights_mib:.0f} MiB, loading {loads} s, PSS of the first worker "
            f"{first.median:.0f} MiB, added by the second {added[name].median:.0f} MiB"
        )
        result[name] = costs
    difference = added[LARGE].median - added[TINY].median
    print(f"of what the second worker adds, the larger model's own part is {difference:.0f} MiB")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({**result, "added_by_larger_model_mib": difference}, indent=1) + "\n")


if __name__ == "__main__":
    main()
