"""Recommenders asked about users and items that took no part in training, in a process of its own; numpy, no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from brightspark.recsys.feature_matrix import read_features
from brightspark.recsys.fit_settings import HybridFitSettings
from brightspark.recsys.hybrid import Hybrid
from brightspark.recsys.hybrid_training import learn_hybrid
from brightspark.recsys.part import UNKNOWN, Part
from brightspark.recsys.staged import StagedInteractions
from brightspark.recsys.top import best
from quality.recommenders import ndcgs, read_pairs, seeded

K = 10
DRAWS = 2_000


def users(folder: str, told: list[int], parts: Mapping[str, Any], crossfits: int, seed: int) -> dict[str, Any]:
    """nDCG@10 of each part and of the hybrid for users of whom so many items are told, by the number of items."""
    hybrid = _learned(folder, parts, crossfits, seed)
    truth = read_pairs(f"{folder}/test.parquet", None, hybrid.items)
    found = {}
    for number in told:
        histories = read_pairs(f"{folder}/told-{number}.parquet", truth.shape[0], hybrid.items)
        unknown = np.full(histories.shape[0], UNKNOWN, dtype=np.int32)
        each = {}
        for part in (*hybrid.parts, hybrid):
            scores = part.scores(histories, unknown)
            scores[histories.nonzero()] = -np.inf
            each[part.name] = ndcgs(best(scores, K)[0], truth)
        found[str(number)] = _compared(each)
    return found


def items(folder: str, parts: Mapping[str, Any], crossfits: int, seed: int) -> dict[str, Any]:
    """nDCG@10 of what each ranks among the items that nobody has rated in training."""
    hybrid = _learned(folder, parts, crossfits, seed)
    truth = read_pairs(f"{folder}/test.parquet", None, hybrid.items)
    cold = np.diff(truth.tocsc().indptr) > 0
    histories = read_pairs(f"{folder}/train.parquet", truth.shape[0], hybrid.items)
    codes = np.arange(truth.shape[0], dtype=np.int32)
    asked = np.flatnonzero(np.diff(truth.indptr))
    each = {}
    for part in (*hybrid.parts, hybrid):
        scores = _among(part, histories[asked], codes[asked], cold)
        each[part.name] = ndcgs(best(scores, K)[0], truth[asked])
    chance = np.random.default_rng(seed).random((len(asked), hybrid.items)).astype(np.float32)
    each["chance"] = ndcgs(best(np.where(cold, chance, -np.inf).astype(np.float32), K)[0], truth[asked])
    return {"cold": int(cold.sum()), "users": len(asked), "found": _compared(each, "chance")}


def _learned(folder: str, parts: Mapping[str, Any], crossfits: int, seed: int) -> Hybrid:
    staged = StagedInteractions.open(f"{folder}/staged")
    own = {name: seeded(name, settings, seed) for name, settings in parts.items()}
    settings = HybridFitSettings(parts=tuple(parts), part_settings=own, crossfits=crossfits, seed=seed)
    return learn_hybrid(staged, settings, read_features(staged)).hybrid


def _among(part: Part, histories: csr_matrix, users: Any, cold: Any) -> Any:
    if isinstance(part, Hybrid):
        return part.scores(histories, users, ~cold)
    return np.where(cold, part.scores(histories, users), -np.inf).astype(np.float32)


def _compared(each: Mapping[str, np.ndarray], least: str = "popularity") -> dict[str, Any]:
    """The means, and how many times the mean of the `least` each is, with a paired bootstrap's interval over users."""
    draw = np.random.default_rng(0)
    users = len(each[least])
    drawn = draw.integers(0, users, (DRAWS, users))
    said = {}
    for name, values in each.items():
        ratios = values[drawn].mean(axis=1) / np.maximum(each[least][drawn].mean(axis=1), 1e-9)
        low, high = np.quantile(ratios, [0.025, 0.975])
        said[name] = {"ndcg": values.mean(), "ratio": values.mean() / max(each[least].mean(), 1e-9),
                      "low": low, "high": high}  # fmt: skip
    return {name: {key: float(value) for key, value in row.items()} for name, row in said.items()}
