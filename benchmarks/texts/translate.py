"""Translations of verses: brightspark against transformers' `generate`, the same search in the same precision."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import apart

from texts import translator
from texts.job import Job
from texts.part import Asked, Found, agreement, measured

BFLOAT16 = {
    "brightspark": "texts.translation:brightspark",
    "generate": "texts.translation:generate",
    "generate_sorted": "texts.translation:generate_sorted",
}
FLOAT32 = {
    "brightspark_float32": "texts.translation:brightspark",
    "generate_float32": "texts.translation:generate",
}
CONTENDERS = {**BFLOAT16, **FLOAT32}
GOALS = {("brightspark", "generate"): 1.7, ("brightspark_float32", "generate_float32"): 1.7}
TEXTS = 2000


def measure(asked: Asked) -> Found:
    """All contenders over the same files; those in bfloat16 where the processor is fast at it."""
    count = asked.texts or TEXTS
    model = asked.translator or translator.checkpoint()
    job = Job(texts=translator.verses(count), warm_up=translator.warm_up(), model=model, bfloat16=False)
    contenders = {
        name: partial(
            apart.call, "texts.job:run", contender=target, job=replace(job, bfloat16=name in BFLOAT16).to_json()
        )
        for name, target in (CONTENDERS if asked.bfloat16 else FLOAT32).items()
    }
    name = f"translate-{count}-{_digest(model)[:8]}"
    record, found = measured(name, contenders, GOALS, asked, standard=count == TEXTS and asked.bfloat16)
    same = {**agreement(record, "generate", BFLOAT16), **agreement(record, "generate_float32", FLOAT32)}
    exact = same.get("brightspark_float32", 1.0) == 1.0
    if "brightspark_float32" in same:
        print(f"the same translations in float32: {'met' if exact else 'SHORT'}")
    kept = {**found.kept, "translator": _digest(model), "same": same}
    return replace(found, kept=kept, met=found.met and exact)


def _digest(model: Path) -> str:
    """Names a network's weights: runs of another one are kept apart."""
    with (model / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
