"""Rows that are read several times, held while they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark import StorageLevel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@contextmanager
def persisted(df: DataFrame) -> Iterator[DataFrame]:
    """The rows in the executors' memory, or on their disks, for the length of a `with` block."""
    held = df.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield held
    finally:
        held.unpersist()
