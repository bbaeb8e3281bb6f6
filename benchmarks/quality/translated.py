"""Contenders that translate verses of books that none of them has seen, each in a process of its own."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from brightspark import samples
from quality import intervals

TEST_BOOKS = ("Ruth", "Esther", "Ecclesiastes", "Jonah", "Philippians", "James")  # no other book tells them again
SHOWN = 10  # translations that are kept, to be looked at

Row = dict[str, str]


def copied(seed: int, training: int | None) -> dict[str, Any]:
    """The source itself."""
    _, test = rows(training)
    return {"seconds": 0.0, **_scored([row["text"] for row in test], test)}


def dictionary(seed: int, training: int | None) -> dict[str, Any]:
    """Word by word, by the likeliest translation in the training pairs."""
    learned, test = rows(training)
    started = time.perf_counter()
    answers = _by_dictionary(learned, test)
    return {"seconds": time.perf_counter() - started, **_scored(answers, test)}


def ours(seed: int, training: int | None, **settings: Any) -> dict[str, Any]:
    """Translator from scratch on Spark, which picks its best epoch on books that it holds out."""
    import torch

    from brightspark.core.session import partitions, session
    from brightspark.nlp import Translator

    spark = session("benchmark")
    learned, test = rows(training)
    pairs = [(row["book"], row["text"], row["target"]) for row in learned]
    shown = [(number, row["text"]) for number, row in enumerate(test)]
    losses: list[float] = []
    started = time.perf_counter()
    translator = Translator("scratch", group_col="book", seed=seed, use_gpu=torch.cuda.is_available(), **settings)
    translator.watch = lambda line: losses.append(line["loss"]) if line["kind"] == "epoch" else None
    model = translator.fit(spark.createDataFrame(pairs, "book string, text string, target string"))
    frame = spark.createDataFrame(shown, "number long, text string").repartition(partitions(spark))
    found = {
        row["number"]: row["translation"] for row in model.transform(frame).select("number", "translation").collect()
    }
    seconds = time.perf_counter() - started
    answers = [found[number] for number, _ in shown]
    gain = intervals.over_rows(_gain(answers, _by_dictionary(learned, test), test), len(test))
    return {"seconds": seconds, "losses": losses, "over_dictionary": gain, **_scored(answers, test)}


def rows(training: int | None) -> tuple[list[Row], list[Row]]:
    """Pairs of the books to learn from, evenly thinned out to at most `training` of them, and those of TEST_BOOKS."""
    with samples.verses().open(encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file))
    learned = [row for row in pairs if row["book"] not in TEST_BOOKS]
    if training is not None:
        learned = [learned[place] for place in np.linspace(0, len(learned) - 1, training).astype(int)]
    return learned, [row for row in pairs if row["book"] in TEST_BOOKS]


def _by_dictionary(learned: Sequence[Row], test: Sequence[Row]) -> list[str]:
    from brightspark.nlp.demo_dictionary import learn, translate

    words = learn((row["text"], row["target"]) for row in learned)
    return [translate(row["text"], words) for row in test]


def _scored(answers: Sequence[str], test: Sequence[Row]) -> dict[str, Any]:
    """BLEU, chrF and TER, with sacrebleu's signatures, and some translations."""
    from brightspark.core.session import session
    from brightspark.core.translation_metrics import translation

    pairs = [(answer, row["target"]) for answer, row in zip(answers, test, strict=True)]
    report = translation(session("benchmark").createDataFrame(pairs, "translation string, target string"))
    scores = {name: getattr(report.overall, name) for name in ("bleu", "chrf", "ter")}
    shown = [[row["text"], answer, row["target"]] for answer, row in list(zip(answers, test, strict=True))[:SHOWN]]
    return {"scores": scores, "signatures": report.signatures, "shown": shown}


def _gain(answers: Sequence[str], others: Sequence[str], test: Sequence[Row]) -> Any:
    """The difference in chrF on drawn rows, from sacrebleu's counts of each row."""
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    targets = [[row["target"] for row in test]]
    ours, theirs = (np.array(metric._extract_corpus_statistics(list(each), targets)) for each in (answers, others))

    def chrf(counts: np.ndarray) -> float:
        return float(metric._compute_score_from_stats(counts.sum(axis=0).tolist()).score)

    return lambda drawn: chrf(ours[drawn]) - chrf(theirs[drawn])
