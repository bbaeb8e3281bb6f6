"""Real texts from the registry: as many as they say, each once, and labelled."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from brightspark import samples

pytestmark = pytest.mark.samples


def rows(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tweets_are_there_once_each() -> None:
    found = rows(samples.tweets())
    assert len({row["text"] for row in found}) == len(found) == 37_243
    assert set(Counter(row["label"] for row in found)) == {"negative", "neutral", "positive"}


def test_newsgroups_come_in_the_usual_split() -> None:
    folder = samples.newsgroups()
    train, test = rows(folder / "train.csv"), rows(folder / "test.csv")
    assert (len(train), len(test)) == (11_293, 7_528)
    assert len({row["label"] for row in train}) == len({row["label"] for row in test}) == 20


def test_transformers_opens_minilm() -> None:
    import transformers

    folder = samples.model("minilm")
    network, found = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not found["missing_keys"]
    assert network.config.hidden_size == 384
    assert transformers.AutoTokenizer.from_pretrained(folder).model_max_length == 512


def test_verses_come_in_both_languages() -> None:
    found = rows(samples.verses())
    assert len(found) == 31_102
    assert len({row["book"] for row in found}) == 66
    assert all(row["text"] and row["target"] for row in found)
    first = found[0]
    assert first["text"] == "In the beginning God created the heaven and the earth."
    assert first["target"] == "Au commencement, Dieu créa les cieux et la terre."
