"""Staged rows, read at random by every rank: one copy a node, memory-mapped. Knows no Spark."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from brightspark.core.cache import cache_root, file_lock
from brightspark.core.errors import InputError, StorageError, did_you_mean, one_line
from brightspark.core.manifest import Manifest, Shard, read_manifest
from brightspark.core.mapped import MappedRows
from brightspark.core.order import Indices
from brightspark.core.storage import Storage

BATCH_BYTES = 64 << 20  # of a record batch in the node's copy, about
BATCH_ROWS = 1 << 20  # at most


class Shards:
    """What `stage` wrote.

    >>> shards = Shards.open(path)                                # doctest: +SKIP
    >>> len(shards), shards.table(["label"]).column("label")      # doctest: +SKIP
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    @classmethod
    def open(cls, path: str) -> Shards:
        """Raises InputError where nothing is staged at `path`."""
        manifest = read_manifest(path)
        if manifest is None:
            raise InputError(
                f"nothing is staged at {path}, or a staging there has not ended: stage(df, {path!r}) first"
            )
        return cls(manifest)

    def __len__(self) -> int:
        return self.manifest.rows

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of all rows, in memory: labels, groups, lengths; the other columns are not read.

        Raises InputError for a column that is not there.
        """
        self._check(columns)
        return pa.concat_tables(self._read(shard, columns) for shard in self.manifest.shards)

    def rows(self, columns: Sequence[str] | None = None) -> Rows:
        """All rows by number, from this node's copy, which is made if it is not there.

        The copy is uncompressed and memory-mapped: ranks share its pages, and memory is the kernel's to give and take.
        Raises StorageError where the node's disk has too little room for it.
        """
        columns = list(columns or self.manifest.columns)
        self._check(columns)
        return Rows(self._on_this_node(), columns)

    def forget(self) -> None:
        """Deletes this node's copy, if there is one."""
        shutil.rmtree(self._copied_to, ignore_errors=True)

    @property
    def _copied_to(self) -> Path:
        return cache_root() / "shards" / self.manifest.digest

    def _check(self, columns: Sequence[str]) -> None:
        for name in columns:
            if name not in self.manifest.columns:
                raise InputError(f"no column {name!r} is staged; {did_you_mean(name, self.manifest.columns)}")

    def _read(self, shard: Shard, columns: Sequence[str]) -> pa.Table:
        with Storage().open(self._path(shard), whole=False) as file:
            return pq.read_table(file, columns=list(columns))

    def _path(self, shard: Shard) -> str:
        return f"{self.manifest.path.rstrip('/')}/{shard.name}"

    def copy_groups(self, numbers: Sequence[int], columns: Sequence[str], target: Path) -> None:
        """Some row groups, by their number over all shards, into one file of Arrow batches."""
        places = [(shard, place) for shard in self.manifest.shards for place in range(len(shard.row_groups))]
        with pa.OSFile(str(target), "wb") as sink:
            writer = None
            for number in numbers:
                shard, place = places[number]
                with Storage().open(self._path(shard), whole=False) as file:
                    table = pq.ParquetFile(file).read_row_group(place, columns=list(columns))
                writer = writer or pa.ipc.new_stream(sink, table.schema)
                writer.write_table(table, max_chunksize=_batch_rows(shard))
            if writer is not None:
                writer.close()

    def _on_this_node(self) -> Path:
        """The folder of this node's copy; who comes first makes it, the others wait."""
        folder = self._copied_to
        if folder.is_dir():
            return folder
        with file_lock(folder):
            if not folder.is_dir():
                for left in folder.parent.glob(f".{folder.name}-*"):  # by a process that was killed
                    shutil.rmtree(left, ignore_errors=True)
                self._check_room(folder.parent)
                partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
                try:
                    for number, shard in enumerate(self.manifest.shards):
                        self._copy(shard, partial / f"{number:06d}.arrow")
                    partial.rename(folder)
                except OSError as error:
                    raise StorageError(
                        f"this node's copy of {self.manifest.path} cannot be made in {folder.parent}: {one_line(error)}"
                    ) from error
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
        return folder

    def _check_room(self, folder: Path) -> None:
        needed = sum(shard.raw_bytes for shard in self.manifest.shards)
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise StorageError(
                f"this node's copy of {self.manifest.path} takes {needed >> 20:,} MiB, and {folder} has {free >> 20:,} "
                "free: delete copies there of what you train on no more, set BRIGHTSPARK_CACHE to a larger disk, or "
                "train with window_rows=…, which keeps only a part"
            )

    def _copy(self, shard: Shard, target: Path) -> None:
        with Storage().open(self._path(shard), whole=False) as file:
            parquet = pq.ParquetFile(file)
            with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_stream(sink, parquet.schema_arrow) as writer:
                for batch in parquet.iter_batches(_batch_rows(shard)):
                    writer.write_batch(batch)


class Rows:
    """All rows by number, memory-mapped."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.folder, self.columns = folder, list(columns)
        self._opened: MappedRows | None = None

    def __len__(self) -> int:
        return len(self._mapped())

    def __getitem__(self, number: int) -> dict[str, Any]:
        (row,) = self.__getitems__([number])
        return row

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Several rows, in the order of their numbers."""
        rows: list[dict[str, Any]] = self._mapped().take(numbers).to_pylist()
        return rows

    def table(self, epoch: int, numbers: Indices) -> pa.Table:
        """Some rows of an epoch, in the order of their numbers; here they are the same in every epoch."""
        return self._mapped().take(numbers)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}  # a loader's worker maps the files by itself

    def _mapped(self) -> MappedRows:
        if self._opened is None:
            self._opened = MappedRows(sorted(self.folder.glob("*.arrow")), self.columns)
        return self._opened


def _batch_rows(shard: Shard) -> int:
    """Rows of a record batch: large enough to gather small rows from few batches, bounded where rows are large."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES * shard.rows // max(1, shard.raw_bytes)))
