"""Short recordings of speech with what is said in them, in nine languages."""

from __future__ import annotations

import csv
from pathlib import Path

from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

LANGUAGES = ("en", "es", "fr", "hi", "it", "ja", "pl", "pt", "zh")  # ISO 639-1, the archive's folders
_MAX_BYTES = 500_000  # the largest recording has 289 kB


def recordings() -> Path:
    """A folder of 27 recordings, three in each of nine languages, 72 s in all, and `recordings.csv`.

    Each language has a greeting, the numbers from one to ten, and a sentence that shows its letters. A recording lies
    at `<language>/<name>.wav`: one channel, 16 kHz, 32-bit floating point, 1.0 to 4.5 s. `recordings.csv` has the
    columns path (below the folder), text and language (ISO 639-1), ordered by path. The archive does not say who
    speaks: the voices may be synthetic.

    Raises:
        StorageError: the recordings cannot be fetched.
    """
    name = "pytest-audioeval"
    return cache.made(f"recordings-{find(name).version}", lambda folder: _write(fetch(name), folder))


def _write(archive: Path, folder: Path) -> None:
    rows = []
    for language in LANGUAGES:
        pattern = rf"pytest_audioeval/samples/audio/{language}/\w+\.(txt|wav)"
        found = dict(members(archive, pattern, max_bytes=_MAX_BYTES))
        (folder / language).mkdir(parents=True)
        for file_name in sorted(name for name in found if name.endswith(".wav")):
            path = Path(language, file_name)
            (folder / path).write_bytes(found[file_name])
            text = found[path.with_suffix(".txt").name].decode("utf-8").strip()
            rows.append((path.as_posix(), text, language))
    with (folder / "recordings.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "text", "language"), *rows])
