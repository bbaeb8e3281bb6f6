"""Staged rows that no node's disk holds: a window of permuted row groups at a time. Knows no Spark."""

from __future__ import annotations

import hashlib
import shutil
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from brightspark.core.cache import cache_root, file_lock
from brightspark.core.mapped import MappedRows
from brightspark.core.order import Indices, Order
from brightspark.core.shards import Shards


class Windows:
    """The rows of an order with windows.

    A window's row groups are fetched when the one before is begun, once a node, into a memory-mapped file. At most
    three windows are on a node's disk: the one in use, the next, and the one that a slower rank may still read.
    `owner` names the training: its processes on a node share the files, and nobody else does.
    """

    def __init__(self, shards: Shards, order: Order, columns: Sequence[str], owner: str = "") -> None:
        self.shards, self.order, self.columns, self.owner = shards, order, list(columns), owner
        # All that makes a window's file what it is, and whose it is: another training deletes what it is done with.
        named = hashlib.sha256(repr((owner, order.seed, order.window_rows, self.columns)).encode()).hexdigest()
        self.folder = cache_root() / "shards" / f"{shards.manifest.digest}-windows-{named[:16]}"
        self._starts = np.concatenate([[0], np.cumsum(order.groups)])
        self._epoch: _Epoch | None = None
        self._opened: dict[Path, MappedRows] = {}
        self._ahead: threading.Thread | None = None

    def __len__(self) -> int:
        return self.order.rows

    def __getstate__(self) -> dict[str, Any]:
        return {"shards": self.shards, "order": self.order, "columns": self.columns, "owner": self.owner}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def table(self, epoch: int, numbers: Indices) -> pa.Table:
        """Some rows of an epoch, in the order of their numbers."""
        layout = self._layout(epoch)
        groups = np.searchsorted(self._starts, numbers, side="right") - 1
        places = layout.first_of[groups] + numbers - self._starts[groups]
        windows = layout.window_of[groups]
        ends = [*(np.flatnonzero(np.diff(windows)) + 1), len(windows)]
        return pa.concat_tables(
            self._window_rows(epoch, int(windows[start])).take(places[start:end]) for start, end in pairwise([0, *ends])
        )

    def _layout(self, epoch: int) -> _Epoch:
        layout = self._epoch  # the thread that fetches ahead may put another epoch's there meanwhile
        if layout is None or layout.number != epoch:
            layout = self._epoch = _Epoch.of(self.order, epoch)
        return layout

    def _window_rows(self, epoch: int, window: int) -> MappedRows:
        file = self._file(epoch, window)
        if file not in self._opened:
            self._opened = {kept: rows for kept, rows in self._opened.items() if kept.exists()}
            if self._ahead is not None:
                self._ahead.join()
            with file_lock(file):  # held until it is mapped: a faster process may delete it right after
                self._fetch(epoch, window)
                self._opened[file] = MappedRows([file], self.columns)
            self._forget(epoch, window)
            if window + 1 < len(self._layout(epoch).windows):
                self._ahead = threading.Thread(target=self._fetch_ahead, args=(epoch, window + 1), daemon=True)
                self._ahead.start()
        return self._opened[file]

    def _file(self, epoch: int, window: int) -> Path:
        return self.folder / f"{epoch:06d}-{window:06d}.arrow"

    def _fetch_ahead(self, epoch: int, window: int) -> None:
        with file_lock(self._file(epoch, window)):
            self._fetch(epoch, window)

    def _fetch(self, epoch: int, window: int) -> None:
        """Makes the window's file, unless another process of this node has; its lock is held."""
        file = self._file(epoch, window)
        if not file.exists():
            partial = file.with_name(f".{file.name}-{uuid.uuid4().hex[:8]}.partial")
            self.shards.copy_groups(self._layout(epoch).windows[window], self.columns, partial)
            partial.rename(file)

    def _forget(self, epoch: int, window: int) -> None:
        """Deletes what lies more than one window back; who has it mapped still reads it."""
        current = self._file(epoch, window).name
        older = sorted(file.name for file in self.folder.glob("*.arrow") if file.name < current)
        for name in older[:-1]:
            with suppress(BlockingIOError), file_lock(self.folder / name, wait=False):  # else somebody needs it still
                for left in (name, f".{name}*"):
                    for file in self.folder.glob(left):
                        file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes what lies on this node's disk, where the training has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class _Epoch:
    """Where each row group lies in an epoch."""

    number: int
    windows: list[list[int]]
    window_of: NDArray[np.int64]
    """The window of each row group."""
    first_of: NDArray[np.int64]
    """The place of its first row in that window."""

    @classmethod
    def of(cls, order: Order, epoch: int) -> _Epoch:
        windows = order.windows(epoch)
        window_of, first_of = (np.zeros(len(order.groups), dtype=np.int64) for _ in range(2))
        for number, window in enumerate(windows):
            rows = [order.groups[group] for group in window]
            window_of[window] = number
            first_of[window] = np.concatenate([[0], np.cumsum(rows)[:-1]])
        return cls(epoch, windows, window_of, first_of)
