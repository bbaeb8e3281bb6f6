"""Synthetic ratings with a power law, and factors of users and items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from brightspark.core.cache import cache_root

LARGEST_SHARE = 0.8  # the power with which an item's popularity falls with its rank


def pairs(users: int, items: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """About so many different pairs of user and item: few items have most of them, and few users."""
    draw = np.random.default_rng(0)
    popular = (np.arange(items) + 10.0) ** -LARGEST_SHARE
    active = draw.lognormal(sigma=1.0, size=users)
    user = draw.choice(users, size=int(1.25 * count), p=active / active.sum())
    item = draw.permutation(items)[draw.choice(items, size=len(user), p=popular / popular.sum())]
    both = np.unique(user * np.int64(items) + item)
    both = draw.permutation(both)[:count]
    return both // items, both % items


def ratings(users: int, items: int, count: int) -> Path:
    """A Parquet table of `user`, `item` and `rating` (1 to 5), made once."""
    file = cache_root() / "bench" / f"ratings-{users}-{items}-{count}.parquet"
    if not file.exists():
        user, item = pairs(users, items, count)
        rating = np.random.default_rng(1).integers(1, 6, len(user)).astype(np.float64)
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".new")
        pq.write_table(pa.table({"user": user, "item": item, "rating": rating}), beside, row_group_size=250_000)
        beside.rename(file)
    return file


def factors(users: int, items: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Of users and of items."""
    draw = np.random.default_rng(2)
    return tuple(draw.standard_normal((count, dimensions), dtype=np.float32) / 8 for count in (users, items))  # type: ignore[return-value]


def histories(users: int, items: int, each: int) -> csr_matrix:
    """What each user has seen."""
    user, item = pairs(users, items, each * users)
    found = csr_matrix((np.ones(len(user), dtype=np.float32), (user, item)), shape=(users, items))
    found.sort_indices()
    return found
