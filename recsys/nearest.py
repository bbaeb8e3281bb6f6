"""An index of items by their vectors, for catalogues in which comparing with all takes too long: usearch's HNSW.

It is a graph in which like items are linked (Malkov and Yashunin 2018, https://doi.org/10.1109/TPAMI.2018.2889473), in
a file that processes map and share. Of the truly nearest it misses a few; docs/benchmarks.md says how many. Knows
neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brightspark.core.errors import ArtifactError, MissingExtraError
from brightspark.recsys.part import Codes, Floats
from brightspark.recsys.top import NOTHING

FILE, INDEX = "nearest.safetensors", "usearch"
FEWEST_ITEMS = 100_000  # above which a catalogue gets an index
LINKS = 16  # of each item; and so many are looked at when one is added, and when one is asked for:
LOOKED_AT_TO_ADD, LOOKED_AT = 128, 96
BLOCK = 10_000  # vectors that are added at a time


@dataclass(frozen=True)
class Nearest:
    """An index that was opened."""

    index: Any
    mapped: Any
    """What it lies in, which must live as long."""

    def nearest(self, vectors: Floats, k: int) -> tuple[Codes, Floats]:
        """The k items nearest to each vector, and the cosines, the nearest first; NOTHING where none is left."""
        found = self.index.search(vectors, k, threads=1)
        items = np.full((len(vectors), k), NOTHING, dtype=np.int32)
        cosines = np.full((len(vectors), k), -np.inf, dtype=np.float32)
        for row, matches in enumerate([found] if len(vectors) == 1 else found):  # of a single one it gives no list
            items[row, : len(matches)] = matches.keys
            cosines[row, : len(matches)] = 1 - matches.distances
        return items, cosines


def build(items: int, dimensions: int, vectors: Callable[[slice], Floats], file: Path) -> None:
    """Writes the index of items by their vectors, asked for a block at a time; vectors of 0 are left out.

    All cores add to it: the same vectors give an index that may miss others. Raises MissingExtraError where usearch is
    not installed.
    """
    from safetensors.numpy import save_file

    index = _library().Index(
        ndim=dimensions, metric="cos", dtype="f16", connectivity=LINKS, expansion_add=LOOKED_AT_TO_ADD
    )
    for start in range(0, items, BLOCK):
        block = vectors(slice(start, min(items, start + BLOCK)))
        known = np.flatnonzero(block.any(axis=1))  # usearch holds vectors of nothing for alike
        index.add(start + known, block[known])
    save_file({INDEX: np.frombuffer(index.save(), dtype=np.uint8)}, file)


def index_bytes(items: int, dimensions: int) -> int:
    """What an index takes on the disk, and twice in memory while it is made: vectors in half precision, and links."""
    return items * (2 * dimensions + 8 * 3 * LINKS)


def open_index(file: Path) -> Nearest:
    """The index in a file, mapped; raises ArtifactError where it is none."""
    from safetensors.torch import load_file  # which maps, where that of numpy copies

    library = _library()
    try:
        mapped = load_file(file)[INDEX].numpy()
        index = library.Index.restore(mapped.data, view=True)
    except Exception as error:
        raise ArtifactError(f"{file} is no index of items: {error}") from error
    if index is None:
        raise ArtifactError(f"{file} is no index of items")
    index.expansion_search = LOOKED_AT
    return Nearest(index, mapped)


def _library() -> Any:
    try:
        import usearch.index
    except ModuleNotFoundError as error:
        raise MissingExtraError("an index of items needs usearch: pip install 'brightspark[recsys]'") from error
    return usearch.index
