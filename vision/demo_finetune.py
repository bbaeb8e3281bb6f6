"""The demo's part on fine-tuning: the same pairs of skin patches, learned by the whole network, and shown why."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.calibration import rescaled
from brightspark.core.classification_blocks import reliability_blocks
from brightspark.core.metrics import compare
from brightspark.core.report import Block, Card, Figures, Gallery, Heading, KeyFigure, Note, Table
from brightspark.core.training_blocks import training_blocks
from brightspark.vision import ImageClassifier, evaluate, explain

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from brightspark.core.classification_report import ClassificationReport
    from brightspark.vision import ImageClassifierModel

EPOCHS, FULL_EPOCHS = 3, 12
SEEDS, FULL_SEEDS = (0,), (0, 1, 2, 3, 4)
SETTINGS: dict[str, Any] = {
    "image_size": 96,  # a patch has 32 pixels a side, its pair twice as many
    "group_col": "source",
    "validation_share": 0.2,
    "color_jitter": 0.0,  # whether two patches match is told by their colours
    "scale": 1.0,  # and by where in the picture they lie
    "snapshot_minutes": None,
}
HEAT_MAPS = 6


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning came to."""

    model: ImageClassifierModel
    scored: DataFrame
    """The answers on the photographs that were held out from everything, persisted."""
    report: ClassificationReport
    uncalibrated: ClassificationReport
    """The same without the temperature."""
    training: Sequence[Block]
    accuracies: Sequence[float]
    """Of each seed."""
    seconds: float


def fine_tune(
    train: DataFrame, test: DataFrame, weights: Path, say: Callable[[str], None], *, full: bool = False
) -> Tuned:
    """Trains on `train` for a few epochs, or in full once for each of some seeds: what is shown is the first one's."""
    epochs, seeds = (FULL_EPOCHS, FULL_SEEDS) if full else (EPOCHS, SEEDS)
    accuracies = []
    shown: Tuned | None = None
    for seed in seeds:
        say(f"fine-tuning: training for {epochs} epochs" + (f", seed {seed}" if len(seeds) > 1 else ""))
        with tempfile.TemporaryDirectory(prefix="brightspark-demo-") as folder:
            classifier = ImageClassifier(str(weights), epochs=epochs, seed=seed, run_folder=folder, **SETTINGS)
            classifier.watch = _say_epochs(say)
            started = time.perf_counter()
            model: ImageClassifierModel = classifier.fit(train)
            seconds = time.perf_counter() - started
            blocks = training_blocks(next(Path(folder).glob("fit-*/run")))
        made = _measured(model, test, blocks, seconds)
        accuracies.append(made.report.accuracy or 0.0)
        if shown is None:
            shown = made
        else:
            made.scored.unpersist()
    assert shown is not None, "there is no seed to train with"
    return Tuned(**{**vars(shown), "accuracies": accuracies})


def _say_epochs(say: Callable[[str], None]) -> Callable[[Any], None]:
    def watch(line: Any) -> None:
        if line["kind"] == "epoch":
            say(f"fine-tuning: epoch {line['epoch'] + 1}, accuracy {line['accuracy']:.3f} on the validation rows")

    return watch


def _measured(model: ImageClassifierModel, test: DataFrame, training: Sequence[Block], seconds: float) -> Tuned:
    columns = ("path", "source", "label", "prediction", "probability", "error")
    scored = model.transform(test).select(*columns).persist()
    before = rescaled("probability", 1 / model.settings.temperature)
    return Tuned(
        model=model,
        scored=scored,
        report=evaluate(scored),
        uncalibrated=evaluate(scored.withColumn("probability", before), labels=model.labels),
        training=training,
        accuracies=(),
        seconds=seconds,
    )


def blocks(tuned: Tuned, frozen: DataFrame) -> list[Block]:
    """What was learned and measured, beside the answers of frozen features on the same pairs."""
    told = tuned.model.artifact
    return [
        Heading("The same pairs, learned by the whole network"),
        Note(
            f"ImageClassifier.fit trained all of EfficientNet-Lite0 on {told.training['training_rows']} pairs, in "
            f"{tuned.seconds:.0f} s with all that belongs to it, and kept the epoch that was best on "
            f"{told.metrics['validation_rows']} pairs of other photographs. It is measured on the same pairs as above."
        ),
        _figures(tuned),
        *_comparison(tuned, frozen),
        *tuned.training,
        *reliability_blocks(tuned.uncalibrated, tuned.report),
        _heat_maps(tuned),
        Note(
            "A heat map shows which parts of the picture speak for the answer (Grad-CAM), at the coarse grid of the "
            "network's last layer; it does not say that the network is right, nor why."
        ),
    ]


def _figures(tuned: Tuned) -> Figures:
    low, high = tuned.report.intervals["accuracy"]
    figures = [
        KeyFigure(
            f"{100 * (tuned.report.accuracy or 0):.1f}",
            "%",
            f"of pairs right (95 % interval {100 * low:.1f} to {100 * high:.1f})",
        ),
        KeyFigure(
            f"{tuned.model.settings.temperature:.2f}", "", "temperature: the network's outputs are divided by it"
        ),
    ]
    if len(tuned.accuracies) > 1:
        least, most = (f"{100 * value:.1f}" for value in (min(tuned.accuracies), max(tuned.accuracies)))
        figures.append(KeyFigure(f"{least} to {most}", "%", f"of pairs right, over {len(tuned.accuracies)} seeds"))
    return Figures(figures)


def _comparison(tuned: Tuned, frozen: DataFrame) -> list[Block]:
    """Against frozen features and Spark's logistic regression, on the same pairs."""
    both = tuned.scored.select("path", "label", "prediction").join(
        frozen.select("path", frozen["prediction"].alias("frozen")), "path"
    )
    found = compare(both, "prediction", "frozen")
    low, high = found.intervals["accuracy"]
    told = "do not tell the two apart" if low <= 0 <= high else "tell the two apart"
    rows = [
        ("the whole network, fine-tuned", round(found.accuracy_a or 0, 3)),
        ("frozen features and logistic regression", round(found.accuracy_b or 0, 3)),
    ]
    return [
        Table(("way", "accuracy"), rows, caption="On the same pairs."),
        Note(
            f"These {found.measured} pairs {told}: fine-tuning makes {100 * (found.accuracy_difference or 0):+.1f} "
            f"points of accuracy (95 % interval {100 * low:+.1f} to {100 * high:+.1f})."
        ),
    ]


def _heat_maps(tuned: Tuned) -> Gallery:
    """Of each label the likeliest right answers, and the likeliest wrong ones."""
    from pyspark.sql import functions as F

    sure = tuned.scored.filter("error is null").withColumn("confidence", F.array_max("probability"))
    order = (F.desc("confidence"), "path")
    wrong = sure.filter("prediction != label").orderBy(*order).limit(HEAT_MAPS // 3)
    right = [
        sure.filter(F.col("prediction") == label).filter("prediction = label").orderBy(*order).limit(HEAT_MAPS // 3)
        for label in tuned.report.labels
    ]
    chosen = wrong
    for rows in right:
        chosen = chosen.unionAll(rows)
    shown = explain(tuned.model, chosen.drop("error"), label_col="prediction").collect()
    return Gallery([_card(row, tuned.report.labels) for row in shown], caption="What speaks for each answer.")


def _card(row: Any, labels: Sequence[str]) -> Card:
    return Card(
        title=f"photograph {row['source']}, {Path(row['path']).stem}",
        picture=row["heat_map"],
        answers=sorted(zip(labels, row["probability"], strict=True), key=lambda answer: -answer[1]),
        truth=row["label"],
        error=row["explain_error"],
    )
