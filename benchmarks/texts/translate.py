"""Translations of verses: brightspark against transformers' `generate`."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import apart

from texts import translator
from texts.job import Job
from texts.part import Asked, Found, agreement, measured

CONTENDERS = {
    "brightspark": "texts.translation:brightspark",
    "generate": "texts.translation:generate",
    "generate_sorted": "texts.translation:generate_sorted",
}
GOALS = {("brightspark", "generate"): 1.7}
TEXTS = 2000


def measure(asked: Asked) -> Found:
    """All contenders over the same files."""
    count = asked.texts or TEXTS
    model = asked.translator or translator.checkpoint()
    job = Job(texts=translator.verses(count), warm_up=translator.warm_up(), model=model, bfloat16=asked.bfloat16)
    contenders = {
        name: partial(apart.call, "texts.job:run", contender=target, job=job.to_json())
        for name, target in CONTENDERS.items()
    }
    standard = count == TEXTS and not asked.float32
    record, found = measured(
        f"translate-{count}-{job.precision}-{_digest(model)[:8]}", contenders, GOALS, asked, standard=standard
    )
    kept = {**found.kept, "translator": _digest(model), "same": agreement(record, "generate")}
    return replace(found, kept=kept)


def _digest(model: Path) -> str:
    """Names a network's weights: runs of another one are kept apart."""
    with (model / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
