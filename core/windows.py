"""Staged rows that no node's disk holds: a window of permuted row groups at a time. Knows no Spark."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brightspark.core.cache import cache_root, file_lock
from brightspark.core.order import Order
from brightspark.core.shards import Key, Shards, mapped

if TYPE_CHECKING:
    from datasets import Dataset


class Windows:
    """The rows of an order with windows.

    A window's row groups are fetched when the one before is begun, once a node, into a memory-mapped file. At most
    three windows are on a node's disk: the one in use, the next, and the one that a slower rank may still read.
    """

    def __init__(self, shards: Shards, order: Order, columns: Sequence[str]) -> None:
        self.shards, self.order, self.columns = shards, order, list(columns)
        self.folder = cache_root() / "shards" / f"{shards.manifest.digest}-windows"
        self._starts = np.concatenate([[0], np.cumsum(order.groups)])
        self._reset()

    def _reset(self) -> None:
        self._epoch: _Epoch | None = None
        self._opened: dict[Path, Dataset] = {}
        self._ahead: threading.Thread | None = None

    def __len__(self) -> int:
        return self.order.rows

    def __getstate__(self) -> dict[str, Any]:
        return {"shards": self.shards, "order": self.order, "columns": self.columns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def records(self, keys: Sequence[Key]) -> list[dict[str, Any]]:
        """The rows of (epoch, row), in their order."""
        found: list[dict[str, Any]] = []
        for (epoch, window), some in groupby(keys, key=self._window):
            dataset = self._window_rows(epoch, window)
            found += dataset[[self._place(key) for key in some]].to_pylist()
        return found

    def _window(self, key: Key) -> tuple[int, int]:
        return key[0], int(self._layout(key[0]).window_of[self._group(key[1])])

    def _place(self, key: Key) -> int:
        group = self._group(key[1])
        return int(self._layout(key[0]).first_of[group] + key[1] - self._starts[group])

    def _group(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _layout(self, epoch: int) -> _Epoch:
        if self._epoch is None or self._epoch.number != epoch:
            self._epoch = _Epoch.of(self.order, epoch)
        return self._epoch

    def _window_rows(self, epoch: int, window: int) -> Dataset:
        file = self._file(epoch, window)
        if file not in self._opened:
            self._opened = {kept: rows for kept, rows in self._opened.items() if kept.exists()}
            self._fetch(epoch, window)
            self._opened[file] = mapped([file], self.columns)
            self._forget(epoch, window)
            if self._ahead is not None:
                self._ahead.join()
            if window + 1 < len(self._layout(epoch).windows):
                self._ahead = threading.Thread(target=self._fetch, args=(epoch, window + 1), daemon=True)
                self._ahead.start()
        return self._opened[file]

    def _file(self, epoch: int, window: int) -> Path:
        return self.folder / f"{self.order.seed}-{epoch:06d}-{window:06d}.arrow"

    def _fetch(self, epoch: int, window: int) -> None:
        """Makes the window's file, unless another process of this node has."""
        file = self._file(epoch, window)
        with file_lock(file):
            if not file.exists():
                partial = file.with_name(f".{file.name}-{uuid.uuid4().hex[:8]}")
                self.shards.copy_groups(_Epoch.of(self.order, epoch).windows[window], self.columns, partial)
                partial.rename(file)

    def _forget(self, epoch: int, window: int) -> None:
        """Deletes what lies more than one window back; who has it mapped still reads it."""
        oldest = self._file(epoch, max(0, window - 1))
        for file in self.folder.glob(f"{self.order.seed}-*.arrow"):
            if file.name < oldest.name:
                file.unlink(missing_ok=True)
        for lock in self.folder.glob(f".{self.order.seed}-*.arrow.lock"):
            if lock.name.lstrip(".") < oldest.name:
                lock.unlink(missing_ok=True)


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
