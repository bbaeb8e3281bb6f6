"""Does our loop learn as much as a plain timm script? `python benchmarks/quality_vision.py` [--part PART] [--seeds N].

Four parts, with the same rows, splits, settings and seeds for all contenders; the first three are on Fashion-MNIST:

- finetune: EfficientNet-Lite0 (ImageNet's weights) on 3,000 pictures, 10 labels, our defaults;
- scratch: resnet18 with random weights on 12,000 pictures;
- several: EfficientNet-Lite0 on 2,000 squares of four pictures, each with up to four labels; mean average precision;
- patches: EfficientNet-Lite0 on pairs of skin patches, our defaults, no image on two sides of any split.

The test pictures take no part in training. `plain` starts as timm's `create_model` does; `reset` is the same loop with
the new classifier drawn as `reset_classifier` draws it, which is how ours starts. Differences are ours minus the other:
over the seeds with Student's interval, and over the test pictures (patches: over their images) by a paired bootstrap.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import machine
import numpy as np
from quality import fashion, intervals, patches, plain
from sklearn.metrics import average_precision_score

from brightspark import samples
from brightspark.core.precision import resolve_precision
from brightspark.core.session import session
from brightspark.core.survey import is_held_out
from brightspark.vision import ImageClassifier, ImageFitSettings

RESULT = Path(__file__).parent / "results" / "quality_vision.json"
SHARE = 0.1  # of the rows that validate
PRECISION_RESAMPLES = 200  # each sorts the answers for every label anew


@dataclass(frozen=True)
class Part:
    """What is learned, and from which network."""

    network: str
    pretrained: bool
    image_size: int
    training: int | None
    """Pictures; None for all there are."""
    test: int | None
    epochs: int
    several: bool = False
    group_col: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    model_args: dict[str, Any] = field(default_factory=dict)


PARTS = {
    "finetune": Part("efficientnet-lite0", True, 96, 3_000, 2_000, 4),
    "scratch": Part(
        "resnet18", False, 28, 12_000, 10_000, 6, settings={"scale": 0.7, "learning_rate": 1e-3, "color_jitter": 0.0},
        model_args={"in_chans": 1},
    ),
    "several": Part("efficientnet-lite0", True, 112, 2_000, 1_000, 4, several=True, settings={"scale": 1.0}),
    "patches": Part("efficientnet-lite0", True, 64, None, None, ImageFitSettings().epochs, group_col="source"),
}  # fmt: skip


def main() -> None:
    """Measure, print and keep."""
    options = arguments()
    described = machine.describe()
    print(machine.headline(described))
    found = {}
    for name in options.part or PARTS:
        with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as scratch:
            found[name] = compare(PARTS[name], options.fashion, Path(scratch), options.seeds)
        print(as_text(name, found[name]), flush=True)
        kept = json.loads(RESULT.read_text())["parts"] if RESULT.exists() else {}
        RESULT.write_text(json.dumps({"machine": described, "parts": {**kept, **found}}, indent=1) + "\n")


def pictures(part: Part, downloads: Path, scratch: Path) -> tuple[list[Any], list[Any]]:
    """Training and test pictures: path, label or labels and, where there are groups, the group."""
    if part.group_col:
        return patches.read()
    write = fashion.write_composites if part.several else fashion.write_single
    source = fashion.fetch(downloads)
    return write(source, scratch, "train", part.training), write(source, scratch, "t10k", part.test)


def compare(part: Part, downloads: Path, scratch: Path, seeds: int) -> dict[str, Any]:
    """All contenders on every seed; their answers on the test pictures, and the differences."""
    rows, tested = pictures(part, downloads, scratch)
    group = f", {part.group_col} string" if part.group_col else ""
    spark = session("benchmark")
    frame = spark.createDataFrame(rows, f"path string, label {'array<string>' if part.several else 'string'}{group}")
    held_out = is_held_out([part.group_col or "path"], SHARE, ())
    held = {row["path"] for row in frame.filter(held_out).select("path").collect()}
    test = [row[:2] for row in tested]
    parts = {
        "training": [row[:2] for row in rows if row[0] not in held],
        "validation": [row[:2] for row in rows if row[0] in held],
        "test": test,
    }
    truth = [row[1] for row in rows]
    labels = sorted({name for label in truth for name in ([label] if isinstance(label, str) else label)})
    runs = []
    for seed in range(seeds):
        contenders = {
            "plain": lambda seed=seed: run_plain(part, parts, labels, seed),
            "reset": lambda seed=seed: run_plain(part, parts, labels, seed, reset=True),
            "ours": lambda seed=seed: run_ours(part, frame, test, labels, seed),
        }
        if not part.pretrained:
            del contenders["reset"]
        order = list(contenders) if seed % 2 else list(contenders)[::-1]
        run: dict[str, Any] = {}
        for name in order:
            started = time.perf_counter()
            answers = contenders[name]()
            run[name] = {"seconds": time.perf_counter() - started, "answers": answers}
        runs.append(run)
        scores = {name: score(run[name]["answers"], test, labels) for name in run}
        seconds = {name: round(run[name]["seconds"]) for name in run}
        print(f"seed {seed}: {scores}, seconds {seconds}", flush=True)
    groups = [row[2] for row in tested] if part.group_col else list(range(len(test)))
    return summary(part, runs, test, labels, members(groups))


def run_plain(
    part: Part, parts: dict[str, Any], labels: Sequence[str], seed: int, *, reset: bool = False
) -> np.ndarray:
    """The plain loop with the settings that ours has by default."""
    settings = ImageFitSettings(**part.settings)
    name = str(samples.model(part.network)) if part.pretrained else part.network
    network = plain.start(
        name,
        labels,
        image_size=part.image_size,
        pretrained=part.pretrained,
        seed=seed,
        reset=reset,
        **part.model_args,
    )
    return plain.train_and_answer(
        network,
        labels,
        parts,
        augmentation=settings.augmentation,
        epochs=part.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing,
        warmup=settings.warmup,
        bfloat16=resolve_precision("auto", "cpu") == "bfloat16",
        seed=seed,
    )


def run_ours(part: Part, frame: Any, test: Sequence[Any], labels: Sequence[str], seed: int) -> np.ndarray:
    """Through Spark, from the DataFrame to the answers."""
    classifier = ImageClassifier(
        str(samples.model(part.network)) if part.pretrained else part.network,
        pretrained=part.pretrained,
        image_size=part.image_size,
        model_args=part.model_args,
        epochs=part.epochs,
        validation_share=SHARE,
        group_col=part.group_col,
        seed=seed,
        **part.settings,
    )
    model = classifier.fit(frame)
    assert model.labels == tuple(labels)
    shown = frame.sparkSession.createDataFrame([(path,) for path, _ in test], "path string")
    answered = {row["path"]: row["probability"] for row in model.transform(shown).collect()}
    return np.array([answered[path] for path, _ in test])


def score(answers: np.ndarray, test: Sequence[Any], labels: Sequence[str]) -> float:
    """Accuracy; mean average precision where there are several labels."""
    if isinstance(test[0][1], str):
        return float(right(answers, test, labels).mean())
    return float(average_precision_score(truths(test, labels), answers, average="macro"))


def right(answers: np.ndarray, test: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
    """Whether each test picture got its label."""
    return np.array([labels[index] for index in answers.argmax(axis=1)]) == np.array([label for _, label in test])


def truths(test: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
    """Rows of zeros and ones."""
    return np.array([[name in label for name in labels] for _, label in test])


def members(groups: Sequence[Any]) -> list[np.ndarray]:
    """The places of each group's rows."""
    numbers = np.unique(groups, return_inverse=True)[1]
    return [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]


def summary(
    part: Part, runs: list[dict[str, Any]], test: Sequence[Any], labels: Sequence[str], groups: list[np.ndarray]
) -> dict[str, Any]:
    """Scores and seconds of each contender by seed, and the differences to each of the others."""
    return {
        "metric": "mean average precision" if part.several else "accuracy",
        "scores": {name: [score(run[name]["answers"], test, labels) for run in runs] for name in runs[0]},
        "seconds": {name: [run[name]["seconds"] for run in runs] for name in runs[0]},
        "differences": {
            name: difference(name, part, runs, test, labels, groups) for name in ("plain", "reset") if name in runs[0]
        },
        "setting": asdict(part),
    }


def difference(
    other: str,
    part: Part,
    runs: list[dict[str, Any]],
    test: Sequence[Any],
    labels: Sequence[str],
    groups: list[np.ndarray],
) -> dict[str, Any]:
    """Ours minus `other`: the mean, over the seeds, and over the test pictures, those of a group drawn together."""
    ours, theirs = ([run[name]["answers"] for run in runs] for name in ("ours", other))
    by_seed = [score(mine, test, labels) - score(its, test, labels) for mine, its in zip(ours, theirs, strict=True)]
    if part.several:
        wanted = truths(test, labels)
        drawn = intervals.over_rows(
            lambda rows: _precision(wanted, ours, rows) - _precision(wanted, theirs, rows),
            len(test),
            PRECISION_RESAMPLES,
        )
    else:
        pairs = zip(ours, theirs, strict=True)
        gains = [right(mine, test, labels).astype(float) - right(its, test, labels) for mine, its in pairs]
        gained = np.mean(gains, axis=0)
        drawn = intervals.over_rows(
            lambda chosen: gained[np.concatenate([groups[group] for group in chosen])].mean(), len(groups)
        )
    return {
        "mean": statistics.fmean(by_seed),
        "over_seeds": intervals.over_seeds(by_seed),
        "over_pictures": drawn,
    }


def _precision(wanted: np.ndarray, answers: Sequence[np.ndarray], rows: np.ndarray) -> float:
    return statistics.fmean(average_precision_score(wanted[rows], each[rows], average="macro") for each in answers)


def as_text(name: str, found: dict[str, Any]) -> str:
    """A line of a Markdown table for each of the others."""
    means = {contender: statistics.fmean(scores) for contender, scores in found["scores"].items()}
    lines = []
    for other, gained in found["differences"].items():
        seeds, pictures = (intervals.shown(gained[name]) for name in ("over_seeds", "over_pictures"))
        lines.append(
            f"| {name}, against {other} | {found['metric']} | {means[other]:.4f} | {means['ours']:.4f} | "
            f"{gained['mean']:+.4f} | {seeds} | {pictures} |"
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--fashion", type=Path, default=fashion.scratch(), help=f"where {fashion.PACKAGE} is, or goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
