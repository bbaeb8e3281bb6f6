"""Labels for tweets and newsgroup posts: brightspark against who does it otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import apart

from texts import data
from texts.job import Job
from texts.kept import Run
from texts.part import Asked, Found, agreement, measured

CONTENDERS = {
    "brightspark": "texts.engine:run",
    "predict_batch": "texts.predict_batch:run",
    "pipeline": "texts.plain:pipeline",
    "pipeline_single": "texts.plain:pipeline_single",
    "ray_data": "texts.ray_data:run",
    "ray_data_sorted": "texts.ray_data:by_length",
    "raw": "texts.plain:raw",
}
GOALS = {
    ("brightspark", "predict_batch"): 4.0,
    ("brightspark", "pipeline"): 1.5,
    ("brightspark", "pipeline_single"): 1.0,
    ("brightspark", "raw"): 0.9,
    ("brightspark", "ray_data"): 1.0,
    ("brightspark", "ray_data_sorted"): 1.0,
}
SHARES = dict.fromkeys(("predict_batch", "pipeline", "ray_data"), 1 / 8)
TEXTS = 20_000
MOST_PADDING = 0.05


def measure(asked: Asked) -> Found:
    """All contenders over the same files, or a fixed sample of their texts."""
    count = asked.texts or TEXTS
    job = Job(texts=data.table(count), warm_up=data.warm_up(), model=data.checkpoint(), bfloat16=asked.bfloat16)
    shares = {**SHARES, **asked.shares}

    def contender(name: str) -> Callable[[], Run]:
        given = replace(job, texts=data.sample(job.texts, shares.get(name, 1)))
        return partial(apart.call, "texts.job:run", contender=CONTENDERS[name], job=given.to_json())

    standard = count == TEXTS and not asked.float32
    record, found = measured(
        f"classify-{count}-{job.precision}", {name: contender(name) for name in CONTENDERS}, GOALS, asked,
        standard=standard,
    )  # fmt: skip
    paddings = [run["notes"]["padding"] for run in record.of("brightspark")]
    met = max(paddings, default=0.0) <= MOST_PADDING
    if paddings:
        verdict = "met" if met else "SHORT"
        print(f"padding: {max(paddings):.1%} of the tokens, goal {MOST_PADDING:.0%}: {verdict}")
    same = agreement(record, "raw", CONTENDERS)
    kept = {**found.kept, "shares": shares, "padding": max(paddings, default=None), "same": same}
    return replace(found, kept=kept, met=found.met and met)
