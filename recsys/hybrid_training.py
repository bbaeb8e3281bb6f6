"""A hybrid learned from staged interactions in one process, in two rounds. Knows no Spark.

    for each fold:  parts of all but the fold ─ candidates, evidence ─┐
                    the fold: what users turned to ───────────────────┴─ weights of the evidence
    parts of all interactions, and these weights ─ hybrid

So the weights are learned on what no part has seen, and the parts that are used have seen everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError
from brightspark.recsys.evidence import ask, candidates, evidence
from brightspark.recsys.fit_settings import SPARK_ALS, HybridFitSettings
from brightspark.recsys.hybrid import Hybrid
from brightspark.recsys.matrix import LARGEST, Timed, matrix_bytes, read_timed
from brightspark.recsys.part import Codes, Floats, Part
from brightspark.recsys.parts import KINDS, SUFFIX, load, save
from brightspark.recsys.parts import learn as learn_part
from brightspark.recsys.popularity import Popularity, PopularitySettings
from brightspark.recsys.popularity import fit as fit_popularity
from brightspark.recsys.reranker import Lesson, learn, lesson
from brightspark.recsys.staged import StagedInteractions

BLOCK_BYTES = 32 << 20  # of one part's scores of a block of users
MOST_EASE_ITEMS = 40_000  # beyond, items² is more than most machines hold, and the time grows with items³
UNASKED = "it is learned where `parts` names it"
UNKNOWN = {"features": "nothing is known of the items", "places": "no interaction has a moment"}
INSTEAD_OF = {"cease": "ease"}  # where features are known, the first does what the second does


@dataclass(frozen=True)
class Learned:
    """A hybrid, and how it was learned."""

    hybrid: Hybrid
    seconds: dict[str, float]
    """Of each part over all rounds."""
    left_out: dict[str, str]
    """Parts that were not learned, and why."""
    histories: csr_matrix
    """Users × items, each row in the order of the user's time."""


def outgrows(staged: StagedInteractions, settings: HybridFitSettings) -> str | None:
    """Why Spark's ALS must learn instead of all other parts; None where this process can."""
    if settings.parts == (SPARK_ALS,):
        return "parts names it"
    users, _ = staged.shape
    needed = matrix_bytes(users, len(staged.interactions))
    if settings.parts is None and len(staged.interactions) > LARGEST:
        return f"the other parts number no more than {LARGEST:,} interactions"
    if settings.parts is None and needed > settings.max_bytes:
        return f"the other parts would read {needed / 2**30:.1f} GiB into one process, more than max_bytes"
    return None


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
    left_out |= {name: UNASKED for name, each in KINDS.items() if not each.unasked and name not in left_out}
    for better, other in INSTEAD_OF.items():
        if better not in left_out:
            left_out.setdefault(other, f"{better} does the same and knows the items' features")
    return [name for name in KINDS if name not in left_out], left_out


def learn_hybrid(
    staged: StagedInteractions,
    settings: HybridFitSettings,
    features: Floats | None,
    say: Callable[[str], None] = lambda text: None,
    kept: Path | None = None,
) -> Learned:
    """Learns from what was staged with folds; `features` are items × features, `say` hears what is going on.

    In the folder `kept` each part lies as soon as it is learned: the same call goes on there after a death.

    Raises InputError where there is too little to learn from, or a part that was named cannot be.
    """
    timed = read_timed(staged, max_bytes=settings.max_bytes)
    known = {name for name, there in (("features", features is not None), ("places", timed.places.any())) if there}
    names, left_out = chosen_parts(settings, timed.matrix, known)
    learner = _Learner(names, timed, settings, features, kept)
    lessons: list[Lesson] = []
    for fold in range(settings.crossfits if len(names) > 1 else 0):
        say(f"learning the parts without fold {fold + 1} of {settings.crossfits}")
        held = timed.folds == fold
        if not held.any() or held.all():
            continue
        parts = learner.parts(~held, f"without-{fold}")
        lessons += _lessons(parts, timed.in_time(~held), timed.part(held), settings, seed=settings.seed + fold)
    weights = _weights(lessons, names)
    say("learning the parts from all interactions")
    parts = learner.parts(np.ones(timed.matrix.nnz, dtype=bool), "all")
    popularity = next((part for part in parts if isinstance(part, Popularity)), None)
    if popularity is None:  # it has no say, but unknown users have nothing else
        popularity = fit_popularity(timed.matrix, PopularitySettings())
    everything = timed.in_time(np.ones(timed.matrix.nnz, dtype=bool))
    return Learned(Hybrid(parts, weights, popularity, settings.candidates), learner.seconds, left_out, everything)


def _weights(lessons: Sequence[Lesson], names: Sequence[str]) -> Floats:
    """Those that were learned; where there was nothing to learn from, the mean of the parts' scores."""
    if any(one.candidates.users for one in lessons):
        return learn(lessons)
    return equal_weights(len(names))


def equal_weights(parts: int) -> Floats:
    """Those of the mean of so many parts' scores."""
    equal: Floats = np.tile(np.array([1 / parts, 0], dtype=np.float32), parts)
    return equal


@dataclass(frozen=True)
class _Learner:
    """Learns all parts from some of the interactions at a time."""

    names: Sequence[str]
    timed: Timed
    settings: HybridFitSettings
    features: Floats | None
    kept: Path | None
    seconds: dict[str, float] = field(default_factory=dict)

    def parts(self, chosen: NDArray[np.bool_], round_name: str) -> list[Part]:
        matrix, places = self.timed.part(chosen), self.timed.part_places(chosen)
        folder = None if self.kept is None else self.kept / round_name
        found = []
        for name in self.names:
            started = time.perf_counter()
            found.append(self._part(name, matrix, places, folder))
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        return found

    def _part(self, name: str, matrix: csr_matrix, places: csr_matrix | None, folder: Path | None) -> Part:
        file = None if folder is None else folder / f"{name}{SUFFIX}"
        if file is not None and file.exists():
            return load(file)
        part = learn_part(name, matrix, self.settings.of_part(name), features=self.features, places=places)
        if folder is not None:
            beside = folder / "unfinished"
            beside.mkdir(parents=True, exist_ok=True)
            save(part, beside).rename(folder / f"{name}{SUFFIX}")
        return part


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
        among = candidates(opinions, settings.candidates)
        yield lesson(among, evidence(opinions, among), held_back[block])
