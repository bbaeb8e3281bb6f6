"""Verses to translate, and a translator that ends its sentences: no package ships one, so it is trained once.

With random weights a network would never say the token that ends a translation, so that lengths, on which all depends
here, would be unreal. This one, a small Marian, is trained for some minutes on the verses of other books: it writes
poor French of about the right length. `--translator PATH` takes another.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

import apart
import images

from texts import data

HELD_OUT = ("Matthew", "Mark", "Luke", "John")
SETTINGS = {"layers": 2, "width": 128, "vocabulary": 4000, "epochs": 2, "batch_size": 64, "seed": data.SEED}


def verses(count: int, seed: int = data.SEED) -> Path:
    """English verses of the gospels, in random order."""

    def chosen() -> dict[int, str]:
        said = [text for book, text, _ in _rows() if book in HELD_OUT]
        return dict(enumerate(random.Random(seed).sample(said, count)))

    return data.written(f"verses-{count}-seed-{seed}", chosen)


def warm_up() -> Path:
    """A few others of them."""
    return verses(64, seed=data.SEED + 1)


def checkpoint() -> Path:
    """The translator's folder, as transformers has it."""
    named = "-".join(f"{name}-{value}" for name, value in SETTINGS.items())

    def make(folder: Path) -> None:
        apart.call("texts.translator:train", out=str(folder))

    return images._made_once(f"translator-{named}", make) / "model"


def train(out: str) -> None:
    """Trains the translator on the books that are not held out, and saves it."""
    from brightspark.core.session import session
    from brightspark.nlp import Translator

    spark = session()
    pairs = [(book, text, target) for book, text, target in _rows() if book not in HELD_OUT]
    frame = spark.createDataFrame(pairs, "book string, text string, target string").repartition(4)
    model = Translator("scratch", group_col="book", **SETTINGS).fit(frame)
    print(f"trained a translator: {model.artifact.metrics}", flush=True)
    model.save(f"{out}/model")
    spark.stop()


def _rows() -> list[tuple[str, str, str]]:
    from brightspark import samples

    with samples.verses().open(encoding="utf-8", newline="") as file:
        return [(row["book"], row["text"], row["target"]) for row in csv.DictReader(file)]
