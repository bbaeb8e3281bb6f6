"""Does our fine-tuning learn as much as plain transformers? `python benchmarks/quality_text.py [--part PART] [--full]`.

Three parts, with the same rows, splits, epochs and seeds for all contenders:

- tweets: three feelings, MiniLM, 3 epochs; tweets that say the same count once, a fifth of the hashes are the test;
- newsgroups: twenty subjects, MiniLM, 2 epochs (4 with --full), the given split by date;
- translation: English verses into French, from scratch; six whole books are the test.

`plain` is the loop of transformers' documentation with its Trainer's defaults (AdamW, 5e-5, linear to 0). `same` is
that loop with our learning rate, warm-up, cosine and weight decay; what `ours` adds to it are rates by layer and, of
long posts, all windows: `cut` are our answers from no more tokens than the others read. `words` is TF-IDF with a
logistic regression. All but `words` keep their epoch of the least validation loss. For translations the others are the
source itself (`copied`) and a dictionary of words.

Without --full there are fewer rows, for two cores and an hour; `PARTS` says how many. Each run is a process of its
own and is kept in results/quality_text.json once it has ended: a second call goes on there. Runs whose settings are
others by now are made again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import apart
import machine
import numpy as np
from quality import intervals
from quality.kept import Kept

from brightspark.nlp.fit_settings import TextFitSettings, usual_rate
from brightspark.nlp.translation_fit_settings import FROM_SCRATCH

RESULT = Path(__file__).parent / "results" / "quality_text.json"
WIDTH = 384  # of MiniLM's hidden states
PLAIN = {"learning_rate": 5e-5, "schedule": "linear", "warmup": 0.0, "weight_decay": 0.0}  # transformers' Trainer
LEARNED = (  # our defaults that say what is learned
    "epochs", "batch_size", "training_tokens", "pooling", "learning_rate", "layer_decay", "weight_decay", "warmup",
    "dropout", "label_smoothing", "clip_norm",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """What is learned: at most so many training rows, of which a tenth validates, and test rows; None for all."""

    training: int | None
    test: int | None
    epochs: int
    tokens: int


@dataclass(frozen=True)
class Translation:
    """What is translated: after at most so many pairs, and with which of Translator's settings."""

    training: int | None
    settings: dict[str, Any] = field(default_factory=dict)


PARTS: dict[str, Part | Translation] = {
    "tweets": Part(2_500, 3_000, 3, 256),
    "newsgroups": Part(2_000, 1_000, 2, 128),
    "translation": Translation(None, {"epochs": 6, "layers": 2, "width": 192, "group_by_length": True}),
}
FULL: dict[str, Part | Translation] = {
    "tweets": Part(None, None, 3, 256),
    "newsgroups": Part(None, None, 4, 256),
    "translation": Translation(None),
}
SEEDS = {"tweets": 5, "newsgroups": 5, "translation": 1}


def main() -> None:
    """Measure, keep each run, and print."""
    options = arguments()
    described = machine.describe()
    print(machine.headline(described))
    for name in options.part or PARTS:
        part = (FULL if options.full else PARTS)[name]
        kept = Kept(RESULT, f"{name}, full" if options.full else name, asdict(part), described)
        seeds = range(options.seeds or SEEDS[name])
        compare = compare_translators if isinstance(part, Translation) else compare_classifiers
        print(compare(name, part, seeds, kept), flush=True)


def compare_classifiers(name: str, part: Part, seeds: range, kept: Kept) -> str:
    """All contenders on every seed; lines of a table of what ours gains."""
    with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as folder:
        kept.record["rows"] = apart.call(
            "quality.splits:prepare", data=name, training=part.training, test=part.test, folder=folder
        )
        for seed in seeds:
            for contender in apart.rotated(["plain", "same", "ours"], seed):
                settings = settings_of(contender, part)
                target = "ours" if contender == "ours" else "plain"
                run = kept.run(f"quality.classified:{target}", seed, settings, contender, folder=folder)
                print(f"seed {seed}, {contender}: {accuracy(run):.4f}, {run['seconds']:.0f} s", flush=True)
        kept.run("quality.classified:words", 0, {}, folder=folder)
    runs = {
        contender: [run for seed, run in found.items() if int(seed) in seeds]
        for contender, found in kept.record["runs"].items()
    }
    if "right_cut" in runs["ours"][0]:
        runs["cut"] = [{"right": run["right_cut"]} for run in runs["ours"]]
    kept.record["scores"] = {contender: [accuracy(run) for run in found] for contender, found in runs.items()}
    kept.record["differences"] = {other: difference(runs, other) for other in runs if other != "ours"}
    kept.save()
    return "\n".join(line(name, other, kept.record) for other in kept.record["differences"])


def settings_of(contender: str, part: Part) -> dict[str, Any]:
    """What a contender is told: ours its own defaults, as they are now."""
    defaults = TextFitSettings(epochs=part.epochs, training_tokens=part.tokens, learning_rate=usual_rate(WIDTH))
    if contender == "ours":
        return {name: getattr(defaults, name) for name in LEARNED}
    own = {"learning_rate": defaults.learning_rate, "warmup": defaults.warmup, "weight_decay": defaults.weight_decay}
    rates = PLAIN if contender == "plain" else {**own, "schedule": "cosine"}
    return {"tokens": part.tokens, "epochs": part.epochs, "batch_size": defaults.batch_size, **rates}


def accuracy(run: dict[str, Any]) -> float:
    """The share of test rows that got their label."""
    return float(right(run).mean())


def right(run: dict[str, Any]) -> np.ndarray:
    """A one for each test row that got its label."""
    return np.array(list(run["right"]), dtype=float)


def difference(runs: dict[str, list[dict[str, Any]]], other: str) -> dict[str, Any]:
    """Ours minus `other`, which may have a single run for all seeds: the mean, and its intervals."""
    theirs = runs[other] if len(runs[other]) > 1 else runs[other] * len(runs["ours"])
    gains = [right(mine) - right(its) for mine, its in zip(runs["ours"], theirs, strict=True)]
    gained = np.mean(gains, axis=0)
    return {
        "mean": float(gained.mean()),
        "over_seeds": intervals.over_seeds([float(gain.mean()) for gain in gains]),
        "over_rows": intervals.over_rows(lambda rows: float(gained[rows].mean()), len(gained)),
    }


def line(name: str, other: str, record: dict[str, Any]) -> str:
    """A line of a Markdown table: accuracy of both, the difference, and its intervals."""
    gained, means = record["differences"][other], {each: statistics.fmean(of) for each, of in record["scores"].items()}
    ends = " | ".join(intervals.shown(gained[over]) for over in ("over_seeds", "over_rows"))
    return f"| {name}, against {other} | {means[other]:.4f} | {means['ours']:.4f} | {gained['mean']:+.4f} | {ends} |"


def compare_translators(name: str, part: Translation, seeds: range, kept: Kept) -> str:
    """Scores of all contenders as lines of a table, and their signatures."""
    for contender in ("copied", "dictionary"):
        kept.run(f"quality.translated:{contender}", 0, {"training": part.training})
    for seed in seeds:
        kept.run("quality.translated:ours", seed, {"training": part.training, **FROM_SCRATCH, **part.settings})
    lines = []
    for contender, runs in kept.record["runs"].items():
        for seed, run in ((seed, run) for seed, run in runs.items() if int(seed) in seeds):
            scores = " | ".join(f"{run['scores'][metric]:.1f}" for metric in ("bleu", "chrf", "ter"))
            ends = intervals.shown(run.get("over_dictionary"), 1)
            lines.append(f"| {name}, {contender}, seed {seed} | {scores} | {ends} | {run['seconds']:.0f} s |")
    return "\n".join([*lines, *run["signatures"].values()])


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--seeds", type=int, help="by default 5, of translations 1")
    parser.add_argument("--full", action="store_true", help="all rows, on a GPU where there is one: else for a night")
    return parser.parse_args()


if __name__ == "__main__":
    main()
