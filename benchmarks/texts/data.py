"""Real texts of mixed length as a Parquet table, and a classifier for them."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import images

SEED = 0
MAX_TOKENS = 512
FILES = 8  # of the table: Spark reads each as a partition or two
LABELS = ("negative", "neutral", "positive")


def texts(count: int) -> list[str]:
    """Half tweets, half newsgroup posts, shuffled."""
    from brightspark import samples

    csv.field_size_limit(1 << 30)
    groups = samples.newsgroups()
    posts = [row for part in ("train", "test") for row in _column(groups / f"{part}.csv")]
    tweets = _column(samples.tweets())
    chance = random.Random(SEED)
    some = chance.sample(tweets, count // 2) + chance.sample(posts, count - count // 2)
    chance.shuffle(some)
    return some


def _column(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file) if row["text"].strip()]


def table(count: int) -> Path:
    """A folder of Parquet files with the columns id and text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = images.cache() / f"texts-{count}"
    if not folder.exists():
        made = folder.with_name(f".{folder.name}")
        made.mkdir(parents=True, exist_ok=True)
        said = texts(count)
        for number in range(FILES):
            rows = range(number, count, FILES)
            columns = {"id": pa.array(rows, pa.int64()), "text": [said[row] for row in rows]}
            pq.write_table(pa.table(columns), made / f"part-{number}.parquet")
        made.rename(folder)
    return folder


def rows(folder: Path, part: int = 0, parts: int = 1) -> list[str]:
    """The texts of a table in file order; of several parts one."""
    import pyarrow.parquet as pq

    files = sorted(folder.glob("*.parquet"))[part::parts]
    return [text for file in files for text in pq.read_table(file, columns=["text"]).column("text").to_pylist()]


def checkpoint() -> Path:
    """MiniLM with a classifier of random weights."""
    import torch
    import transformers

    from brightspark import samples

    folder = images.cache() / "minilm-classifier"
    if not folder.exists():
        torch.manual_seed(SEED)
        source = samples.model("minilm")
        network = transformers.AutoModelForSequenceClassification.from_pretrained(
            source, id2label=dict(enumerate(LABELS)), label2id={name: number for number, name in enumerate(LABELS)}
        )
        made = folder.with_name(f".{folder.name}")
        network.save_pretrained(made)
        transformers.AutoTokenizer.from_pretrained(source).save_pretrained(made)
        made.rename(folder)
    return folder
