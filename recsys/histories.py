"""Histories on storage, a row a user, as deep parts learn from them. Knows neither Spark nor torch."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.manifest import Manifest, describe_shard, write_manifest
from brightspark.core.shards import Shards
from brightspark.recsys.matrix import in_time
from brightspark.recsys.part import Floats

TRAINING, VALIDATION, FEATURES = "training", "validation", "features"
ROWS = 1 << 16  # of a row group


@dataclass(frozen=True)
class Histories:
    """Where the users' items lie, in codes, and what is known of the items."""

    items: int
    """Of the catalogue."""
    training: str
    """Path of shards of `items` (array<int>), a user's codes, each once; only `write_histories` with `places` knows
    their order."""
    validation: str | None = None
    """The same of other users, who take no part in training."""
    features: str | None = None
    """Path of shards of `item` (codes) and `features` (array<float>)."""

    @property
    def users(self) -> int:
        """That are learned from."""
        return len(Shards.open(self.training))

    def forget(self) -> None:
        """Deletes this node's copies."""
        for path in (self.training, self.validation):
            if path is not None:
                Shards.open(path).forget()


def write_histories(
    matrix: csr_matrix,
    folder: Path,
    *,
    features: Floats | None = None,
    max_history: int,
    places: csr_matrix | None = None,
    validation_share: float = 0.0,
    seed: int = 0,
) -> Histories:
    """The rows of a matrix of users × items, and the items' features, as a training reads them.

    Of a user with more than `max_history` items so many are drawn; users fall to validation at random. With `places`,
    the interactions with their places in each user's time, items stand in that order, and the latest are taken.
    """
    draw = np.random.default_rng([seed, 0])
    if places is None:
        bounded = _bounded(matrix, draw.random(matrix.nnz), max_history)
    else:
        matrix = in_time(matrix, places)
        bounded = _bounded(matrix, -np.arange(matrix.nnz), max_history)
    held_out = draw.random(matrix.shape[0]) < validation_share
    parts = {TRAINING: bounded[~held_out], VALIDATION: bounded[held_out]}
    paths: dict[str, str] = {}
    for name, rows in parts.items():
        if rows.nnz or name == TRAINING:
            lists = pa.ListArray.from_arrays(rows.indptr.astype(np.int32), rows.indices.astype(np.int32))
            paths[name] = _write(pa.table({"items": lists}), folder / name, {"items": "array<int>"})
    if features is not None and features.shape[1]:
        width = features.shape[1]
        values = pa.ListArray.from_arrays(
            np.arange(0, features.size + 1, width, dtype=np.int32), features.astype(np.float32).ravel()
        )
        codes = np.arange(len(features), dtype=np.int32)
        table = pa.table({"item": codes, "features": values})
        paths[FEATURES] = _write(table, folder / FEATURES, {"item": "int", "features": "array<float>"})
    return Histories(matrix.shape[1], paths[TRAINING], paths.get(VALIDATION), paths.get(FEATURES))


def _bounded(matrix: csr_matrix, order: NDArray[Any], most: int) -> csr_matrix:
    """At most so many items of each row, the first by `order`, as they stand in it."""
    sizes = np.diff(matrix.indptr)
    if (sizes <= most).all():
        return matrix
    rows = np.repeat(np.arange(matrix.shape[0]), sizes)
    place = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], sizes)  # within the row
    kept = np.sort(np.lexsort((order, rows))[place < most])
    ends = np.concatenate([[0], np.cumsum(np.minimum(sizes, most))])
    return csr_matrix((matrix.data[kept], matrix.indices[kept], ends), shape=matrix.shape)


def _write(table: pa.Table, folder: Path, columns: dict[str, str]) -> str:
    """Rows as one shard and its manifest, as `brightspark.core.stage` leaves them; the folder."""
    name = f"data-{uuid.uuid4().hex[:12]}"
    (folder / name).mkdir(parents=True)
    file = folder / name / "0.parquet"
    pq.write_table(table, file, row_group_size=ROWS, compression="none", use_dictionary=False)
    shard = describe_shard(str(file))
    # Nobody compares these rows with others: their hash is their place.
    write_manifest(Manifest(path=str(folder), rows=table.num_rows, row_hash=name, columns=columns, shards=(shard,)))
    return str(folder)
