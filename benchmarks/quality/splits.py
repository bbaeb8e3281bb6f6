"""The texts that both contenders learn from and answer: the same split in every run, told by hashes of the texts."""

from __future__ import annotations

import csv
import hashlib
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path

from brightspark import samples

Row = dict[str, str]
SHARE = 0.1  # of the rows to learn from, which validate: TextClassifier's default
TEST_SHARE = 0.2  # of the tweets


def prepare(data: str, training: int | None, test: int | None, folder: str) -> dict[str, object]:
    """Writes `training`, `validation` and `test` of `tweets` or `newsgroups` to a folder; how many rows each has.

    `training` (with validation) and `test` are the most rows to take, by their hash; None for all.
    """
    learn, answer = {"tweets": _tweets, "newsgroups": _newsgroups}[data]()
    learn, answer = _some(learn, training), _some(answer, test)
    held_out = _held_out(learn)
    parts = {
        "training": [row for row in learn if row["text"] not in held_out],
        "validation": [row for row in learn if row["text"] in held_out],
        "test": answer,
    }
    for name, rows in parts.items():
        Path(folder, f"{name}.json").write_text(json.dumps(rows))
    return {name: len(rows) for name, rows in parts.items()}


def read(folder: str, part: str) -> list[Row]:
    """What `prepare` wrote of a part."""
    rows: list[Row] = json.loads(Path(folder, f"{part}.json").read_text())
    return rows


def labels(folder: str) -> list[str]:
    """Those of the training rows, sorted."""
    return sorted({row["label"] for row in read(folder, "training")})


def _tweets() -> tuple[list[Row], list[Row]]:
    """Tweets that say the same but for names, links, signs and capitals count once, so that none is on both sides."""
    first: dict[str, Row] = {}
    for row in _table(samples.tweets()):
        first.setdefault(_said(row["text"]), row)
    sides: tuple[list[Row], list[Row]] = ([], [])
    for said, row in first.items():
        sides[_hash(said) % 1000 < 1000 * TEST_SHARE].append(row)
    return sides


def _said(tweet: str) -> str:
    bare = re.sub(r"https?://\S+|@\w+|\brt\b", " ", html.unescape(tweet).lower())
    return " ".join(re.findall(r"\w+", bare))


def _newsgroups() -> tuple[list[Row], list[Row]]:
    """The given split by date, less posts that stand in it twice."""
    folder = samples.newsgroups()
    learn = {row["text"]: row for row in _table(folder / "train.csv")}
    answer = {row["text"]: row for row in _table(folder / "test.csv") if row["text"] not in learn}
    return list(learn.values()), list(answer.values())


def _table(path: Path) -> list[Row]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["text"].strip()]


def _some(rows: Iterable[Row], most: int | None) -> list[Row]:
    return sorted(rows, key=lambda row: _hash(row["text"]))[:most]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _held_out(rows: list[Row]) -> set[str]:
    """The texts that validate: those that TextClassifier holds out by itself."""
    from brightspark.core.session import session
    from brightspark.core.survey import is_held_out

    frame = session("benchmark").createDataFrame([(row["text"],) for row in rows], "text string")
    return {row["text"] for row in frame.filter(is_held_out(["text"], SHARE, ())).collect()}
