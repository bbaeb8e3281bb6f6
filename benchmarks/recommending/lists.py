"""The best items of many users by factors: brightspark's engine, all of it on Spark, numpy, and implicit's batch."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
from functools import partial
from pathlib import Path
from typing import Any

import apart
import numpy as np
from ratios import spread
from scipy.sparse import csr_matrix
from training import table

from recommending import data

USERS, ITEMS, FACTORS, SEEN, K = 200_000, 50_000, 64, 25, 10
CORES = 2
TIMES = (1, 3, 10)
MOST_BYTES = 2 << 30
START_SECONDS = 300  # until all processes are ready
GOALS = {
    ("brightspark", "numpy"): 0.7,
    ("brightspark", "implicit"): 1.0,
    ("brightspark on Spark", "numpy"): 0.7,
    ("brightspark on Spark", "implicit"): 1.0,
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def measure(rounds: int) -> dict[str, Any]:
    """Users a second, and the most memory of each contender's processes together."""
    memory: dict[str, list[int]] = {}

    def run(name: str, target: str, **settings: Any) -> float:
        found = apart.call(f"recommending.lists:{target}", **settings)
        memory.setdefault(name, []).append(found["bytes"])
        return float(USERS / found["seconds"])

    contenders = {
        "brightspark": partial(run, "brightspark", "together", way="ours"),
        "brightspark on Spark": partial(run, "brightspark on Spark", "on_spark", users=USERS),
        "numpy": partial(run, "numpy", "together", way="plain"),
        "implicit": partial(run, "implicit", "by_implicit"),
    }
    found = table.judged(table.rounds(contenders, rounds, "users/s"), "users/s", GOALS)
    for name, each in memory.items():
        verdict = "met" if max(each) <= MOST_BYTES else "SHORT"
        print(f"{name}: at most {max(each) / 2**30:.2f} GiB, goal {MOST_BYTES / 2**30:.0f}: {verdict}", flush=True)
    return {**found, "bytes": memory}


def measure_growth(rounds: int) -> dict[str, Any]:
    """Through Spark, for more and more users."""
    found: dict[int, list[dict[str, float]]] = {times: [] for times in TIMES}
    for number in range(rounds):
        for times in map(int, apart.rotated(list(map(str, TIMES)), number)):
            found[times].append(apart.call("recommending.lists:on_spark", users=USERS // TIMES[-1] * times))
    print("| users | users/s | GiB of the processes that answer, together |\n|" + " --- |" * 3)
    for times, runs in found.items():
        users = USERS // TIMES[-1] * times
        rate, memory = (
            spread([users / run["seconds"] for run in runs]),
            spread([run["bytes"] / 2**30 for run in runs]),
        )
        print(f"| {times}× ({users:,}) | {rate.median:,.0f} | {memory} |", flush=True)
    return {"runs": found}


def together(way: str) -> dict[str, float]:
    """A process a core, each with its share of the users and a single thread for products."""
    os.environ |= ONE_THREAD
    context = multiprocessing.get_context("spawn")
    ready, told = context.Barrier(CORES + 1), context.SimpleQueue()
    shares = [(USERS * core // CORES, USERS * (core + 1) // CORES) for core in range(CORES)]
    processes = [context.Process(target=_share, args=(way, *share, ready, told)) for share in shares]
    for process in processes:
        process.start()
    ready.wait(START_SECONDS)
    started = time.perf_counter()
    memory = [told.get() for _ in processes]
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    return {"seconds": seconds, "bytes": sum(memory)}


def _share(way: str, start: int, end: int, ready: Any, told: Any) -> None:
    seen = data.histories(USERS, ITEMS, SEEN)[start:end]
    users, items = data.factors(USERS, ITEMS, FACTORS)
    recommend = {"ours": _ours, "plain": _plain}[way]
    recommend(users[start : start + 512], items, seen[:512])
    ready.wait(START_SECONDS)
    found = recommend(users[start:end], items, seen)
    assert found.shape == (end - start, K)
    told.put(most_bytes())


def _ours(users: np.ndarray, items: np.ndarray, seen: csr_matrix) -> np.ndarray:
    from brightspark.recsys.factors import Als
    from brightspark.recsys.top import recommend

    part = Als(users, items, 1.0, 1.0)
    everyone = np.arange(len(users), dtype=np.int32)
    return np.concatenate([block.items for block in recommend(part, seen, K, users=everyone)])


def _plain(users: np.ndarray, items: np.ndarray, seen: csr_matrix, block: int = 256) -> np.ndarray:
    """A product of blocks, what was seen set to -inf, and argpartition."""
    found = np.empty((len(users), K), dtype=np.int64)
    for start in range(0, len(users), block):
        scores = users[start : start + block] @ items.T
        rows = seen[start : start + block]
        scores[np.repeat(np.arange(len(scores)), np.diff(rows.indptr)), rows.indices] = -np.inf
        best = np.argpartition(scores, -K, axis=1)[:, -K:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        found[start : start + block] = np.take_along_axis(best, order, 1)
    return found


def by_implicit() -> dict[str, float]:
    """`recommend` of implicit's ALS for all users in batches, on all cores."""
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    seen = data.histories(USERS, ITEMS, SEEN)
    model = AlternatingLeastSquares(factors=FACTORS)
    model.user_factors, model.item_factors = data.factors(USERS, ITEMS, FACTORS)
    batch = 1000  # as its documentation does for many users
    with threadpool_limits(1, "blas"):  # as implicit asks for
        model.recommend(np.arange(batch), seen[:batch], N=K)
        started = time.perf_counter()
        for start in range(0, USERS, batch):
            model.recommend(np.arange(start, start + batch), seen[start : start + batch], N=K)
        return {"seconds": time.perf_counter() - started, "bytes": most_bytes()}


def on_spark(users: int) -> dict[str, float]:
    """`recommend` of a model to a no-op write, once warm; the memory is that of the processes that answer."""
    from brightspark.core.session import session
    from brightspark.recsys import HybridRecommenderModel

    spark = session()
    model = HybridRecommenderModel.load(str(artifact()))
    everyone = model.known_users(spark).persist()
    asked = everyone.filter(f"user < {users}").repartition(2 * CORES).persist()
    asked.count()
    few = asked.filter("user % 200 = 0")  # of all partitions, so that all workers are warm
    model.recommend(few, K, reasons=False).write.format("noop").mode("overwrite").save()
    started = time.perf_counter()
    model.recommend(asked, K, reasons=False).write.format("noop").mode("overwrite").save()
    seconds = time.perf_counter() - started
    memory = sum(_worker_bytes())
    spark.stop()
    return {"seconds": seconds, "bytes": memory}


def artifact() -> Path:
    """A recommender of these factors, made once."""
    import pyarrow as pa

    from brightspark.core.artifact import writing
    from brightspark.core.cache import cache_root
    from brightspark.recsys.catalogue import Catalogue
    from brightspark.recsys.factors import Als
    from brightspark.recsys.hybrid import Hybrid
    from brightspark.recsys.model import KIND
    from brightspark.recsys.popularity import PopularitySettings
    from brightspark.recsys.popularity import fit as popularity

    path = cache_root() / "bench" / f"recommender-{USERS}-{ITEMS}-{FACTORS}"
    if not path.exists():
        seen = data.histories(USERS, ITEMS, SEEN)
        training = {"user_type": "bigint", "item_type": "bigint", "users": USERS, "items": ITEMS}
        with writing(path, kind=KIND, settings={}, metrics={}, training=training, packages=()) as folder:
            part = Als(*data.factors(USERS, ITEMS, FACTORS), 1.0, 1.0)
            ids = (pa.array(np.arange(count)) for count in (USERS, ITEMS))
            Hybrid([part], np.zeros(2, np.float32), popularity(seen, PopularitySettings())).save(folder)
            Catalogue(*ids, None, seen).save(folder)
    return path


def most_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _worker_bytes() -> list[int]:
    """The most memory of each Python process below this one: Spark's daemon and its workers."""
    known: dict[int, tuple[int, str, int]] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            most = int(lines.get("VmHWM", "0 kB").split()[0]) * 1024
            known[int(lines["Pid"])] = (int(lines["PPid"]), lines["Name"].strip(), most)
        except (OSError, KeyError):  # it has ended
            continue

    def below(process: int) -> bool:
        parent = known.get(process, (0, "", 0))[0]
        return parent == os.getpid() or (parent > 1 and below(parent))

    return [most for process, (_, name, most) in known.items() if name.startswith("python") and below(process)]


if __name__ == "__main__":
    print(json.dumps(measure(1)))
