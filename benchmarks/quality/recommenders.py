"""Each collaborative part tuned and measured on staged interactions, in a process of its own; numpy and no Spark."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from brightspark.recsys.feature_matrix import read_features
from brightspark.recsys.fit_settings import HybridFitSettings
from brightspark.recsys.hybrid_training import learn_hybrid
from brightspark.recsys.matrix import Timed, read_timed
from brightspark.recsys.part import Part
from brightspark.recsys.parts import kind, learn
from brightspark.recsys.staged import StagedInteractions
from brightspark.recsys.top import recommend

BUDGET = 12  # settings of each part that are tried
CHOICES: dict[str, Mapping[str, Sequence[Any]]] = {
    "popularity": {},
    "content": {},
    "towers": {},
    "sasrec": {},
    "covisits": {"window": (3, 5, 10, 20), "neighbours": (100, 500, 2000)},
    "als": {
        "factors": (16, 24, 32, 48, 64), "regularization": (1.0, 10.0, 30.0, 60.0), "alpha": (2.0, 5.0, 10.0, 20.0),
    },
    "bpr": {
        "factors": (32, 64, 128), "regularization": (0.003, 0.01, 0.03), "learning_rate": (0.003, 0.005, 0.01, 0.02),
        "iterations": (50, 100, 200),
    },
    "neighbours": {
        "weight": ("cosine", "tfidf", "bm25"), "neighbours": (20, 50, 100, 200, 500), "k1": (0.2, 1.2, 5.0, 20.0),
        "b": (0.1, 0.25, 0.4),
    },
    "cease": {"l2": (200.0, 300.0, 500.0, 700.0, 1000.0), "feature_weight": (2.0, 3.5, 5.0, 7.0, 10.0)},
    "ease": {"l2": (20.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 700.0, 1000.0, 1500.0, 2500.0)},
}  # fmt: skip


def drawn(name: str) -> list[dict[str, Any]]:
    """At most BUDGET different settings of a part, drawn at random from its choices, the same ones every time."""
    choices = CHOICES[name]
    # bm25's own numbers change nothing of the other weights.
    each = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    named = {str(_that_count(settings)): _that_count(settings) for settings in each}
    order = np.random.default_rng(0).permutation(len(named))[:BUDGET]
    return [list(named.values())[place] for place in sorted(order)]


def _that_count(settings: dict[str, Any]) -> dict[str, Any]:
    plain = settings.get("weight") in ("cosine", "tfidf")
    return {key: value for key, value in settings.items() if not (plain and key in ("k1", "b"))}


def tune(staged: str, held_back: str, name: str, settings: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """nDCG@10 on held-back rows of each of the settings, and the best of them."""
    opened = StagedInteractions.open(staged)
    timed = read_timed(opened)
    matrix = timed.in_time(everything(timed))
    truth = read_pairs(held_back, *matrix.shape)
    tried = []
    for each in settings:
        started = time.perf_counter()
        part = learned(name, opened, timed, each, seed)
        found = _lists(part, matrix, 10)
        tried.append({"settings": dict(each), "ndcg": ndcg(found, truth), "seconds": time.perf_counter() - started})
    best = max(tried, key=lambda one: one["ndcg"])
    return {"best": best["settings"], "validation": best["ndcg"], "tried": tried}


def answer(staged: str, name: str, settings: Mapping[str, Any], seed: int, k: int, out: str) -> dict[str, Any]:
    """Learns from all training rows, and writes `user`, `item` (codes), `rank` and `score` of each user's k best."""
    opened = StagedInteractions.open(staged)
    timed = read_timed(opened)
    started = time.perf_counter()
    part = learned(name, opened, timed, settings, seed)
    seconds = time.perf_counter() - started
    wrote = _write(part, timed.in_time(everything(timed)), k, out)
    return {"fit_seconds": seconds, **wrote, "seconds": time.perf_counter() - started}


def hybrid(
    staged: str, parts: Mapping[str, Mapping[str, Any]], crossfits: int, seed: int, k: int, out: str
) -> dict[str, Any]:
    """The same of a hybrid of parts with settings, learned as HybridRecommender does; and the weights it learned."""
    opened = StagedInteractions.open(staged)
    settings = HybridFitSettings(
        parts=tuple(parts), part_settings={name: seeded(name, own, seed) for name, own in parts.items()},
        crossfits=crossfits, seed=seed,
    )  # fmt: skip
    started = time.perf_counter()
    found = learn_hybrid(opened, settings, read_features(opened))
    seconds = time.perf_counter() - started
    said = {"fit_seconds": seconds, "weights": found.hybrid.explained(), "part_seconds": found.seconds}
    return {**said, **_write(found.hybrid, found.histories, k, out), "seconds": time.perf_counter() - started}


def everything(timed: Timed) -> np.ndarray:
    """All interactions."""
    return np.ones(timed.matrix.nnz, dtype=bool)


def learned(name: str, staged: StagedInteractions, timed: Timed, settings: Mapping[str, Any], seed: int) -> Part:
    """A part of all interactions that are staged."""
    own = kind(name).settings(**seeded(name, settings, seed))
    places = timed.part_places(everything(timed))
    return learn(name, timed.matrix, own, features=read_features(staged), places=places)


def _write(part: Part, matrix: csr_matrix, k: int, out: str) -> dict[str, Any]:
    started = time.perf_counter()
    blocks = list(recommend(part, matrix, k, users=np.arange(matrix.shape[0], dtype=np.int32)))
    items, scores = (np.concatenate([getattr(block, what) for block in blocks]) for what in ("items", "scores"))
    users, places = np.nonzero(items >= 0)
    columns = {"user": users, "item": items[users, places], "rank": places + 1, "score": scores[users, places]}
    pq.write_table(pa.table(columns), Path(out))
    return {"list_seconds": time.perf_counter() - started}


def ndcg(lists: np.ndarray, truth: csr_matrix) -> float:
    """Mean over the users who have held-back items."""
    return float(ndcgs(lists, truth).mean())


def ndcgs(lists: np.ndarray, truth: csr_matrix) -> np.ndarray:
    """Of each user who has held-back items."""
    discounts = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
    users = np.flatnonzero(np.diff(truth.indptr))
    relevant = np.diff(truth.indptr)[users]
    hits = np.array([np.isin(lists[user], truth[user].indices) for user in users])
    ideal = np.cumsum(discounts)[np.minimum(relevant, lists.shape[1]) - 1]
    found: np.ndarray = (hits * discounts).sum(axis=1) / ideal
    return found


def _lists(part: Any, matrix: csr_matrix, k: int) -> np.ndarray:
    users = np.arange(matrix.shape[0], dtype=np.int32)
    return np.concatenate([block.items for block in recommend(part, matrix, k, users=users)])


def read_pairs(path: str, users: int | None, items: int) -> csr_matrix:
    """Pairs in codes as users × items; without a number of users there are as many as codes."""
    table = pq.read_table(path)
    user, item = (table.column(name).to_numpy() for name in ("user", "item"))
    shape = (int(user.max()) + 1 if users is None else users, items)
    return csr_matrix((np.ones(len(user), dtype=np.float32), (user, item)), shape=shape)


def seeded(name: str, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The settings with the seed, where the part draws anything."""
    return {**settings, "seed": seed} if name in ("als", "bpr", "towers", "sasrec") else dict(settings)
