"""Real texts of mixed length as Parquet tables, and a classifier for them: seeded, made once, kept in the cache."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import images

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 0
MAX_TOKENS = 512  # as many as MiniLM takes
FILES = 8  # of a table: four for each of two cores
WARM_UP = 256  # texts
LABELS = ("negative", "neutral", "positive")


def table(count: int, seed: int = SEED) -> Path:
    """Tweets and newsgroup posts, half each, in random order."""
    return written(f"texts-{count}-seed-{seed}", lambda: dict(enumerate(_texts(count, seed))))


def warm_up() -> Path:
    """A few texts of the same kind."""
    return table(WARM_UP, seed=SEED + 1)


def sample(folder: Path, share: float) -> Path:
    """A share of a table's texts with the same mix of lengths: of so many neighbours by length the middle one."""
    if share == 1:
        return folder

    def chosen() -> dict[int, str]:
        said = rows(folder)
        by_length = sorted(said, key=lambda number: (len(said[number]), number))
        some = [by_length[int((number + 0.5) / share)] for number in range(round(share * len(said)))]
        return {number: said[number] for number in sorted(some)}

    return written(f"{folder.name}-share-{share}", chosen)


def written(name: str, texts: Callable[[], Mapping[int, str]]) -> Path:
    """A folder of that name in the cache, with FILES Parquet files of the columns id and text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def make(folder: Path) -> None:
        said = texts()
        for number in range(FILES):
            ids = list(said)[number::FILES]
            columns = {"id": pa.array(ids, pa.int64()), "text": [said[one] for one in ids]}
            pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")

    return images._made_once(name, make)


def rows(folder: Path, part: int = 0, parts: int = 1) -> dict[int, str]:
    """The texts of a table by id, in file order; of several parts one."""
    tables = [_read(file) for file in sorted(folder.glob("*.parquet"))[part::parts]]
    columns = [(one.column("id").to_pylist(), one.column("text").to_pylist()) for one in tables]
    return {number: text for ids, texts in columns for number, text in zip(ids, texts, strict=True)}


def _read(file: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(file, columns=["id", "text"])


def _texts(count: int, seed: int) -> list[str]:
    from brightspark import samples

    csv.field_size_limit(1 << 30)
    groups = samples.newsgroups()
    posts = [text for part in ("train", "test") for text in _column(groups / f"{part}.csv")]
    tweets = _column(samples.tweets())
    chance = random.Random(seed)
    some = chance.sample(tweets, count // 2) + chance.sample(posts, count - count // 2)
    chance.shuffle(some)
    return some


def _column(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file) if row["text"].strip()]


def checkpoint() -> Path:
    """MiniLM with a classifier of random weights."""

    def make(folder: Path) -> None:
        import torch
        import transformers

        from brightspark import samples

        torch.manual_seed(SEED)
        source = samples.model("minilm")
        transformers.AutoModelForSequenceClassification.from_pretrained(source, **labels()).save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)

    return images._made_once(f"minilm-classifier-seed-{SEED}", make)


def shape() -> Path:
    """The same without weights: its configuration and tokenizer, a megabyte to carry to another machine."""

    def make(folder: Path) -> None:
        import transformers

        transformers.AutoConfig.from_pretrained(checkpoint()).save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(checkpoint()).save_pretrained(folder)

    return images._made_once("minilm-shape", make)


def random_checkpoint() -> Path:
    """A network of that shape with random weights, which takes as long as MiniLM itself."""

    def make(folder: Path) -> None:
        import torch
        import transformers

        torch.manual_seed(SEED)
        config = transformers.AutoConfig.from_pretrained(shape())
        transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(shape()).save_pretrained(folder)

    return images._made_once(f"minilm-random-seed-{SEED}", make)


def labels() -> dict[str, Any]:
    """The labels as a configuration of transformers has them."""
    return {"id2label": dict(enumerate(LABELS)), "label2id": {name: number for number, name in enumerate(LABELS)}}


def named(numbers: Sequence[int]) -> list[str]:
    """The labels of these numbers."""
    return [LABELS[number] for number in numbers]
