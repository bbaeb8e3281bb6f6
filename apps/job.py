"""Many files through Spark while somebody watches: slice after slice, so that a bar can move and the job can end early.

The library may not ask Spark how far a job is (that needs a SparkContext, which Spark Connect lacks): so the files go
in slices, each a job of its own, and after each one it is known how many are done. The number of files is bounded,
and so is what comes back: for more there is the command line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from brightspark.core.errors import InputError
from brightspark.core.interrupt import Jobs
from brightspark.core.listing import list_files
from brightspark.core.session import partitions
from brightspark.core.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

MAX_FILES = 10_000
SLICES = 20  # how often a bar moves over many files
SLICE_BYTES = 32 << 20  # of files that travel in the table, not by path
AGAIN_SECONDS = 0.2  # between two interruptions of a slice that is to end


@dataclass(frozen=True)
class Files:
    """Files to score: paths that the workers open, or files of this machine whose contents go with the table."""

    paths: Sequence[str]
    sent: bool = False


def files_below(spark: SparkSession, folder: str, *, base: str, suffixes: Sequence[str]) -> Files:
    """The files in a folder that is `base` or below it, listed by the workers.

    Raises InputError where there is none, or more than MAX_FILES; StorageError for a folder outside of `base`.
    """
    found = list_files(spark, folder, suffixes=suffixes, storage=Storage(base=base))
    paths = sorted(row["path"] for row in found.select("path").limit(MAX_FILES + 1).collect())
    if not paths:
        raise InputError(f"there is no file in {folder} that ends in {', '.join(suffixes)}")
    return Files(_few(paths))


def sent_files(paths: Sequence[str]) -> Files:
    """Files of this machine. Raises InputError for more than MAX_FILES."""
    return Files(_few(paths), sent=True)


def _few(paths: Sequence[str]) -> Sequence[str]:
    if len(paths) > MAX_FILES:
        raise InputError(f"there are more than {MAX_FILES:,} files; score them with `brightspark … score`")
    return paths


class Job:
    """Files on their way through Spark. `run` it on any thread, and `cancel` it from any other."""

    def __init__(self, jobs: Jobs, files: Files, score: Callable[[DataFrame], DataFrame]) -> None:
        """`score` gets a table of `position` and `path` or `content`, and returns `position` and few bytes a row."""
        self.files, self.score = files, score
        self.done = 0
        self.cancelled = False
        self._stop = threading.Event()
        self._idle = threading.Event()  # no slice is on its way
        self._idle.set()
        self._jobs = jobs

    def run(self) -> Iterator[list[Row]]:
        """Scores slice by slice; yields each one's rows in the order of the files, and ends early when cancelled."""
        for start, stop in self._slices():
            self._idle.clear()  # before `_stop` is looked at, as `cancel` sets that before it looks at this
            try:
                if self._stop.is_set():
                    break
                rows = self._scored(start, stop)
            except Exception:
                if self._stop.is_set():  # interrupted: Spark's error says no more than that
                    break
                raise
            finally:
                self._idle.set()
            self.done = stop
            yield rows
        self.cancelled = self.done < len(self.files.paths)

    def cancel(self) -> None:
        """Ends the job now; what is done stays done. Returns when nothing of it runs any more."""
        self._stop.set()
        while not self._idle.is_set():
            self._jobs.stop()  # in vain while Spark still plans the slice: so again
            self._idle.wait(AGAIN_SECONDS)

    def _slices(self) -> Iterator[tuple[int, int]]:
        count = len(self.files.paths)
        # Fewer files than half the tasks that the session makes of a table would leave cores without work.
        most = max(-(-count // SLICES), partitions(self._jobs.session) // 2, 1)
        start = 0
        while start < count:
            stop = min(start + most, count)
            if self.files.sent:
                stop = self._bounded(start, stop)
            yield start, stop
            start = stop

    def _bounded(self, start: int, stop: int) -> int:
        held = 0
        for index in range(start, stop):
            held += Path(self.files.paths[index]).stat().st_size
            if held > SLICE_BYTES and index > start:
                return index
        return stop

    def _scored(self, start: int, stop: int) -> list[Row]:
        paths = self.files.paths[start:stop]
        columns: dict[str, Any] = {"position": pa.array(range(start, stop), pa.int64())}
        if self.files.sent:
            columns["content"] = pa.array([Path(path).read_bytes() for path in paths], pa.binary())
        else:
            columns["path"] = pa.array(paths, pa.string())
        # A generator may be continued on another thread each time.
        with self._jobs.running() as spark:
            table = spark.createDataFrame(pa.table(columns)).repartition(min(len(paths), partitions(spark)))
            rows = self.score(table).collect()
        return sorted(rows, key=lambda row: row["position"])
