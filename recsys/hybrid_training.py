"""A hybrid learned from staged interactions in one process, in two rounds. Knows no Spark.

    for each fold:  parts of all but the fold ─ candidates, evidence ─┐
                    the fold: what users turned to ───────────────────┴─ weights of the evidence
    parts of all interactions, and these weights ─ hybrid

So the weights are learned on what no part has seen, and the parts that are used have seen everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError
from brightspark.recsys.evidence import ask, candidates, evidence, hide
from brightspark.recsys.fit_settings import HybridFitSettings
from brightspark.recsys.hybrid import Hybrid
from brightspark.recsys.matrix import Timed, read_timed
from brightspark.recsys.part import Codes, Floats, Part
from brightspark.recsys.parts import KINDS
from brightspark.recsys.parts import learn as learn_part
from brightspark.recsys.reranker import Lesson, learn, lesson
from brightspark.recsys.staged import StagedInteractions

BLOCK_BYTES = 32 << 20  # of one part's scores of a block of users
MOST_EASE_ITEMS = 40_000  # beyond, items² is more than most machines hold, and the time grows with items³
UNKNOWN = {"features": "nothing is known of the items", "places": "no interaction has a moment"}
INSTEAD_OF = {"cease": "ease"}  # where features are known, the first does what the second does


@dataclass(frozen=True)
class Learned:
    """A hybrid, and how it was learned."""

    hybrid: Hybrid
    seconds: dict[str, float]
    """Of each part over all rounds, and of the weights."""
    left_out: dict[str, str]
    """Parts that were not learned, and why."""


def chosen_parts(
    settings: HybridFitSettings, matrix: csr_matrix, known: Collection[str]
) -> tuple[list[str], dict[str, str]]:
    """The parts that are learned, by size: those that are named, or all that can be; and why others are left out.

    `known` has `features` where something is known of the items, and `places` where it is known what came when.

    Raises InputError where a part was named that cannot be.
    """
    users, items = matrix.shape
    left_out = {}
    for name, each in KINDS.items():
        needed = each.memory_bytes(users, items, matrix.nnz, settings.of_part(name))
        if each.reads is not None and each.needs and each.reads not in known:
            left_out[name] = UNKNOWN[each.reads]
        elif needed > settings.max_bytes:
            left_out[name] = f"it takes about {needed / 2**30:.1f} GiB, more than max_bytes"
        elif name in ("ease", "cease") and items > MOST_EASE_ITEMS:
            left_out[name] = f"{items:,} items are more than {MOST_EASE_ITEMS:,}"
    if settings.parts is not None:
        for name in settings.parts:
            if name in left_out:
                raise InputError(f"parts names {name!r}, and {left_out[name]}")
        return [name for name in KINDS if name in settings.parts], {}
    for better, other in INSTEAD_OF.items():
        if better not in left_out:
            left_out.setdefault(other, f"{better} does the same and knows the items' features")
    return [name for name in KINDS if name not in left_out], left_out


def learn_hybrid(
    staged: StagedInteractions,
    settings: HybridFitSettings,
    features: Floats | None,
    say: Callable[[str], None] = lambda text: None,
) -> Learned:
    """Learns from what was staged with folds; `features` are items × features, `say` hears what is going on.

    Raises InputError where there is too little to learn from, or a part that was named cannot be.
    """
    timed = read_timed(staged, max_bytes=settings.max_bytes)
    known = {name for name, there in (("features", features is not None), ("places", timed.places.any())) if there}
    names, left_out = chosen_parts(settings, timed.matrix, known)
    seconds: dict[str, float] = {}
    lessons: list[Lesson] = []
    for fold in range(settings.crossfits):
        say(f"learning the parts without fold {fold + 1} of {settings.crossfits}")
        held = timed.folds == fold
        if not held.any() or held.all():
            continue
        parts = _parts(names, timed, ~held, settings, features, seconds)
        lessons += _lessons(parts, timed.part(~held), timed.part(held), settings, seed=settings.seed + fold)
    started = time.perf_counter()
    weights = _weights(lessons, names)
    seconds["re-ranking"] = time.perf_counter() - started
    say("learning the parts from all interactions")
    return Learned(
        Hybrid(
            _parts(names, timed, np.ones(timed.matrix.nnz, dtype=bool), settings, features, seconds),
            weights,
            settings.candidates,
        ),
        seconds,
        left_out,
    )


def _weights(lessons: Sequence[Lesson], names: Sequence[str]) -> Floats:
    """Those that were learned; where there was nothing to learn from, the mean of the parts' scores."""
    if any(one.candidates.users for one in lessons):
        return learn(lessons)
    equal: Floats = np.tile(np.array([1 / len(names), 0], dtype=np.float32), len(names))
    return equal


def _parts(
    names: Sequence[str],
    timed: Timed,
    chosen: NDArray[np.bool_],
    settings: HybridFitSettings,
    features: Floats | None,
    seconds: dict[str, float],
) -> list[Part]:
    matrix, places = timed.part(chosen), timed.part_places(chosen)
    found = []
    for name in names:
        started = time.perf_counter()
        found.append(learn_part(name, matrix, settings.of_part(name), features=features, places=places))
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
    return found


def _lessons(
    parts: Sequence[Part], learned: csr_matrix, held_back: csr_matrix, settings: HybridFitSettings, *, seed: int
) -> Iterator[Lesson]:
    """What each user's candidates were worth, of users drawn at random from those that have something held back."""
    users = np.flatnonzero(np.diff(held_back.indptr)).astype(np.int32)
    if len(users) > settings.taught_users:
        users = np.sort(np.random.default_rng(seed).choice(users, settings.taught_users, replace=False))
    width = max(1, BLOCK_BYTES // (4 * learned.shape[1]))
    for start in range(0, len(users), width):
        block: Codes = users[start : start + width]
        opinions = ask(parts, learned[block], block)
        hide(opinions, learned[block])
        among = candidates(opinions, settings.candidates)
        yield lesson(among, evidence(opinions, among), held_back[block])
