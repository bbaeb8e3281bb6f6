"""The goals of the scoring engine, and the tables that show how far they are met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ratios import ratio, spread
from rounds import Record

SMALL, LARGE = "mobilenetv3_small_050", "resnet18"
IMAGES = {SMALL: 6000, LARGE: 1500}


class Goal(NamedTuple):
    """`contender` must reach `least` times the images/s of `base` with each of `models`."""

    contender: str
    base: str
    least: float
    models: tuple[str, ...]


GOALS = (
    Goal("brightspark float32", "raw float32", 0.90, (LARGE, SMALL)),
    Goal("brightspark", "raw bfloat16", 0.90, (LARGE, SMALL)),
    Goal("brightspark float32", "predict_batch_udf", 1.8, (SMALL,)),
    Goal("brightspark float32", "Ray Data", 1.0, (SMALL,)),
    Goal("brightspark float32", "MLflow spark_udf", 1.0, (SMALL,)),
)


def summary(record: Record) -> list[dict[str, Any]]:
    """One row a contender that has run: medians of its rounds, and of its ratios to raw, round by round."""
    rows = []
    reference = next((run["answers"] for run in record.runs if run["contender"] == "raw float32"), None)
    for name in record.choices:
        runs = [run for run in record.runs if run["contender"] == name]
        if not runs:
            continue
        rates = record.rates(name)
        rows.append(
            {
                "contender": name,
                "settings": record.choices[name]["settings"],
                "images_per_second": spread(list(rates.values())),
                "start_seconds": spread([run["start"] for run in runs]).median,
                "load_seconds": spread([run["load"] for run in runs]).median,
                "to_raw_float32": ratio(rates, record.rates("raw float32")),
                "to_raw_bfloat16": ratio(rates, record.rates("raw bfloat16")),
                "same_answers": None if reference is None else _agreement(runs[-1]["answers"], reference),
            }
        )
    return rows


def judged(record: Record, model: str) -> list[dict[str, Any]]:
    """The goals for `model`: the ratio's median and quartiles, and whether the median reaches the goal."""
    rows = []
    for goal in GOALS:
        if model in goal.models:
            reached = ratio(record.rates(goal.contender), record.rates(goal.base))
            met = None if reached is None else reached.median >= goal.least
            rows.append({**goal._asdict(), "reached": reached, "met": met})
    return rows


def as_text(model: str, images: int, record: Record) -> str:
    """The tables of one model."""
    lines = [
        f"{model}, {images} images: medians, [quartiles]",
        f"{'contender':<23} {'rounds':>6} {'images/s':>25} {'÷ raw float32':>18} {'÷ raw bfloat16':>18} "
        f"{'start s':>8} {'load s':>7} {'same answers':>13}",
    ]
    for row in summary(record):
        rate = row["images_per_second"]
        shares = [str(row[name] or "") for name in ("to_raw_float32", "to_raw_bfloat16")]
        same = "" if row["same_answers"] is None else f"{row['same_answers']:.1%}"
        lines.append(
            f"{row['contender']:<23} {rate.count:>6} {_rate(rate):>25} {shares[0]:>18} {shares[1]:>18} "
            f"{row['start_seconds']:>8.1f} {row['load_seconds']:>7.1f} {same:>13}"
        )
    for row in judged(record, model):
        verdict = {None: "not measured", True: "met", False: "SHORT"}[row["met"]]
        lines.append(f"{row['contender']} ÷ {row['base']}: {row['reached'] or '-'}, goal {row['least']}: {verdict}")
    settings = [f"  {row['contender']}: {row['settings']}" for row in summary(record)]
    return "\n".join([*lines, "settings:", *settings])


def _rate(rate: Any) -> str:
    return f"{rate.median:.1f} [{rate.lower:.1f}, {rate.upper:.1f}]"


def _agreement(answers: Mapping[str, int], reference: Mapping[str, int]) -> float:
    """The share of images that got the same class."""
    return sum(answers.get(name) == number for name, number in reference.items()) / len(reference)
