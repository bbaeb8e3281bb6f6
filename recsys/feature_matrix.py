"""Staged features as one matrix of items × features in this process. Knows neither Spark nor torch."""

from __future__ import annotations

import numpy as np

from brightspark.core.errors import InputError
from brightspark.core.shards import Shards
from brightspark.recsys.part import Floats
from brightspark.recsys.staged import StagedInteractions

MAX_BYTES = 8 << 30


def read_features(staged: StagedInteractions, *, max_bytes: int = MAX_BYTES) -> Floats | None:
    """Items × features in the order of the codes, 0 throughout for items without a row; None where there are none.

    Raises InputError as `features_of` does.
    """
    return None if staged.features is None else features_of(staged.features, staged.shape[1], max_bytes=max_bytes)


def features_of(shards: Shards, items: int, *, max_bytes: int = MAX_BYTES) -> Floats | None:
    """The same from shards of `item` (codes) and `features`.

    Raises InputError before anything is read where it would take more than `max_bytes` of memory, and where not all
    rows have equally many features.
    """
    rows = len(shards)
    stored = sum(shard.raw_bytes for shard in shards.manifest.shards)
    needed = stored + stored * items // max(1, rows)
    if needed > max_bytes:
        raise InputError(
            f"the features of {items:,} items take about {needed / 2**30:.1f} GiB of memory in one process, which may "
            f"have {max_bytes / 2**30:.1f} GiB (max_bytes): encode fewer columns, or with fewer max_categories"
        )
    table = shards.table(["item", "features"]).combine_chunks()
    values = table.column("features").combine_chunks().flatten().to_numpy()
    lengths = table.column("features").combine_chunks().value_lengths().to_numpy()
    if (lengths != lengths[0]).any():
        raise InputError(f"some items have {lengths.min()} features and others {lengths.max()}: encode all alike")
    if not lengths[0]:
        return None
    matrix = np.zeros((items, lengths[0]), dtype=np.float32)
    matrix[table.column("item").to_numpy()] = values.reshape(rows, -1)
    return matrix
