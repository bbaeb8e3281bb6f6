"""Which index finds like items in a large catalogue? `python benchmarks/nearest.py [--items N] [--rounds N]`.

The 10 nearest by cosine among items of 128 numbers in 2,000 groups: queries a second on one core, the share of the true
10 that is found, seconds on two cores to build, and bytes on the disk; all contenders in one call, each in a process of
its own. `exact` is what `similar` does in smaller catalogues: products with all, a block at a time. faiss (`faiss-cpu`)
and usearch are no dependencies of this benchmark: who is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apart
import machine
import numpy as np
from ratios import spread

RESULT = Path(__file__).parent / "results" / "nearest.json"
ITEMS, WIDTH, GROUPS, ASKED, K = 500_000, 128, 2_000, 2_000, 10
CONTENDERS = {
    "exact": ("exact", "numpy"),
    "usearch, half precision": ("by_usearch", "usearch"),
    "faiss HNSW": ("by_faiss_graph", "faiss"),
    "faiss IVF": ("by_faiss_lists", "faiss"),
}
EXACT_ASKED = 256  # queries of the exact one, which takes long


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    described = machine.describe()
    print(machine.headline(described))
    there = [name for name, (_, module) in CONTENDERS.items() if importlib.util.find_spec(module)]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in there}
    for number in range(options.rounds):
        for name in apart.rotated(there, number):
            runs[name].append(apart.call(f"nearest:{CONTENDERS[name][0]}", items=options.items))
    print("| index | queries/s, one core | found of the true 10 | build, s | MiB on the disk |\n|" + " --- |" * 5)
    for name, each in runs.items():
        rate, build = (spread([run[key] for run in each]) for key in ("rate", "build"))
        print(f"| {name} | {rate.median:,.0f} | {each[0]['recall']:.3f} | {build.median:.0f} | {each[0]['mib']:,.0f} |")
    kept = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    kept[str(options.items)] = {"machine": described, "runs": runs}
    RESULT.write_text(json.dumps(kept, indent=1) + "\n")


def vectors(items: int) -> np.ndarray:
    """In groups of other sizes, at length 1."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((GROUPS, WIDTH), dtype=np.float32)
    share = draw.lognormal(size=GROUPS)
    of = draw.choice(GROUPS, items, p=share / share.sum())
    found = centres[of] + 0.7 * draw.standard_normal((items, WIDTH), dtype=np.float32)
    unit: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def exact(items: int) -> dict[str, float]:
    """Products with all."""
    known = vectors(items)
    return _measured(known, 0.0, 0, lambda asked: _exact(known, asked), EXACT_ASKED)


def by_usearch(items: int) -> dict[str, float]:
    """As `brightspark.recsys.nearest` has it."""
    from brightspark.recsys.nearest import build, open_index

    known = vectors(items)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "index")
        started = time.perf_counter()
        build(items, WIDTH, lambda rows: known[rows], file)
        seconds = time.perf_counter() - started
        index = open_index(file)
        return _measured(known, seconds, file.stat().st_size, lambda asked: index.nearest(asked, K)[0])


def by_faiss_graph(items: int) -> dict[str, float]:
    """HNSW over float32."""
    import faiss

    return _by_faiss(items, faiss.IndexHNSWFlat(WIDTH, 16, faiss.METRIC_INNER_PRODUCT))


def by_faiss_lists(items: int) -> dict[str, float]:
    """Lists by nearest centre, of which some are looked through."""
    import faiss

    index = faiss.index_factory(WIDTH, f"IVF{4 * int(items**0.5)},Flat", faiss.METRIC_INNER_PRODUCT)
    index.nprobe = 32
    return _by_faiss(items, index)


def _by_faiss(items: int, index: Any) -> dict[str, float]:
    import faiss

    known = vectors(items)
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = 64
    started = time.perf_counter()
    index.train(known)
    index.add(known)
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "index")
        faiss.write_index(index, str(file))
        size = file.stat().st_size
    return _measured(known, seconds, size, lambda asked: index.search(asked, K)[1])


def _measured(
    known: np.ndarray, build: float, size: int, search: Callable[[np.ndarray], np.ndarray], number: int = ASKED
) -> dict[str, float]:
    from threadpoolctl import threadpool_limits

    asked = known[np.random.default_rng(1).choice(len(known), number, replace=False)]
    with threadpool_limits(1):
        search(asked[:32])
        started = time.perf_counter()
        found = search(asked)
        seconds = time.perf_counter() - started
    truth = _exact(known, asked[:EXACT_ASKED])
    recall = np.mean([len(set(row) & set(true)) / K for row, true in zip(found, truth, strict=False)])
    return {"rate": number / seconds, "recall": float(recall), "build": build, "mib": size / 2**20}


def _exact(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    from brightspark.recsys.top import best

    return np.concatenate([best(asked[start : start + 32] @ known.T, K)[0] for start in range(0, len(asked), 32)])


if __name__ == "__main__":
    main()
