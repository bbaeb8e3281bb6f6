"""Arrow files as rows by number, in the kernel's pages: nothing is read but what is asked for. Knows no Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SHARED = 4  # rows for each record batch touched, above which they are gathered batch by batch
LARGE_ROW = 1024  # bytes, above which a copy costs more than a pointer


class MappedRows:
    """Files of Arrow's stream format as one table; processes that map the same files share their pages."""

    def __init__(self, files: Sequence[Path], columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self._batches = [batch for file in files for batch in _batches(file, self.columns)]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self._large = sum(batch.nbytes for batch in self._batches) > LARGE_ROW * len(self)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, numbers: Sequence[int] | NDArray[np.integer]) -> pa.Table:
        """Some rows, in the order of their numbers. Raises IndexError for one that is not there."""
        wanted = np.asarray(numbers, dtype=np.int64)
        if not wanted.size:
            return pa.Table.from_batches([batch.slice(0, 0) for batch in self._batches[:1]])
        if wanted.min() < 0 or wanted.max() >= len(self):
            raise IndexError(f"there are rows 0 to {len(self) - 1}, not {wanted.min()} to {wanted.max()}")
        homes = np.searchsorted(self._starts, wanted, side="right") - 1
        places = wanted - self._starts[homes]
        if self._large or len(np.unique(homes)) * SHARED > len(wanted):
            return self._pointed_at(homes, places)
        return self._gathered(homes, places)

    def _pointed_at(self, homes: NDArray[np.int64], places: NDArray[np.int64]) -> pa.Table:
        """Each row where it lies, without a copy: for large rows, and for few that lie far apart."""
        pairs = zip(homes.tolist(), places.tolist(), strict=True)
        return pa.Table.from_batches([self._batches[home].slice(place, 1) for home, place in pairs])

    def _gathered(self, homes: NDArray[np.int64], places: NDArray[np.int64]) -> pa.Table:
        """One copy from each batch, then into order: for many small rows."""
        order = np.argsort(homes, kind="stable")
        touched, firsts = np.unique(homes[order], return_index=True)
        parts = np.split(places[order], firsts[1:])
        table = pa.Table.from_batches(
            [self._batches[home].take(pa.array(part)) for home, part in zip(touched.tolist(), parts, strict=True)]
        )
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return table.take(pa.array(back))


def _batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
        for batch in stream:
            if batch.num_rows:
                # Files of one staging may differ in what Spark noted beside the schema.
                yield batch.select(list(columns)).replace_schema_metadata(None)
