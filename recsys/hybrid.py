"""Several parts as one recommender: their candidates, ranked by what all of them say. Knows neither Spark nor torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from brightspark.core.errors import ArtifactError
from brightspark.recsys import parts as known
from brightspark.recsys.evidence import KINDS, Candidates, Rows, answers, ask, candidates, compared, evidence
from brightspark.recsys.part import Codes, Floats, Part
from brightspark.recsys.popularity import Popularity
from brightspark.recsys.top import hide

WEIGHTS = "reranker.safetensors"
CANDIDATES = 150  # of each part


@dataclass(frozen=True)
class Hybrid:
    """A `brightspark.recsys.part.Part` made of others.

    A user of whom nothing is known gets what is popular: there the other parts have nothing to say. A single part ranks
    all items by its own scores.
    """

    name: ClassVar[str] = "hybrid"

    parts: Sequence[Part]
    """That have a say."""
    weights: Floats
    """Of each part's kinds of evidence, as `evidence` orders them."""
    popularity: Popularity
    """May be one of the parts."""
    each: int = CANDIDATES
    """Candidates of each part."""

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return self.parts[0].items

    @property
    def all_parts(self) -> Sequence[Part]:
        """All parts, also popularity where it has no say."""
        has_say = any(part is self.popularity for part in self.parts)
        return self.parts if has_say else [self.popularity, *self.parts]

    def scores(self, histories: csr_matrix, users: Codes, hidden: NDArray[np.bool_] | None = None) -> Floats:
        """The evidence times the weights; -inf for what is no candidate, and so for what a user has seen.

        `hidden` are items that nobody is to be recommended.
        """
        opinions = ask(self.parts, histories, users, hidden)
        return self._ranked(opinions, self._among(opinions), histories)

    def pairs(
        self, histories: csr_matrix, users: Codes, rows: Rows, items: Rows, *, placed: bool = False
    ) -> tuple[Floats, Codes]:
        """The scores of single pairs, and where `placed` the items' places on the users' lists, from 1.

        `rows` are the pairs' users, rows of the histories, ascending. Items that are candidates have the scores that
        they have on the list, others those that they would have there, and no place: 0. What a user has seen is scored
        like any other.
        """
        opinions = answers(self.parts, histories, users)
        said = [scores[rows, items] for scores in opinions]
        for scores in opinions:
            hide(scores, histories)
        among = self._among(opinions)
        found: Floats = said[0] if among is None else compared(opinions, among, rows, said) @ self.weights
        nothing = np.diff(histories.indptr)[rows] == 0
        found[nothing] = self.popularity.users[items[nothing]]
        places = np.zeros(len(rows), dtype=np.int32)
        if placed:
            listed = self._ranked(opinions, among, histories)
            own = listed[rows, items]
            greater = (listed[rows] > own[:, None]).sum(axis=1)
            places = np.where(own > -np.inf, greater + 1, 0).astype(np.int32)
        return found, places

    def _among(self, opinions: Sequence[Floats]) -> Candidates | None:
        """What is ranked again; None where a single part ranks all."""
        return None if len(self.parts) == 1 else candidates(opinions, self.each)

    def _ranked(self, opinions: Sequence[Floats], among: Candidates | None, histories: csr_matrix) -> Floats:
        """Users × items: the candidates' scores, and -inf elsewhere."""
        nothing = np.flatnonzero(np.diff(histories.indptr) == 0)
        popular = np.where(opinions[0][nothing] > -np.inf, self.popularity.users, -np.inf)
        if among is None:
            found = opinions[0]
        else:
            found = np.full(opinions[0].shape, -np.inf, dtype=np.float32)
            found[among.rows, among.items] = evidence(opinions, among) @ self.weights
        found[nothing] = popular
        return found

    def explained(self) -> Mapping[str, Mapping[str, float]]:
        """Each part's weights; of a single part, which is not weighed, none."""
        if len(self.parts) == 1:
            return {}
        table = self.weights.reshape(len(self.parts), len(KINDS))
        return {
            part.name: dict(zip(KINDS, map(float, row), strict=True))
            for part, row in zip(self.parts, table, strict=True)
        }

    def save(self, folder: Path) -> None:
        """Writes each part to a file of its name, and the weights to one more."""
        from safetensors.numpy import save_file

        for part in self.all_parts:
            known.save(part, folder)
        save_file({part.name: self._of(place) for place, part in enumerate(self.parts)}, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path, each: int = CANDIDATES) -> Self:
        """The hybrid in a folder; raises ArtifactError where files are missing or of another kind."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            weights = load_file(folder / WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise ArtifactError(f"{folder / WEIGHTS} cannot be read: {error}") from error
        names = [name for name in known.KINDS if name in weights]  # always in the same order
        parts = {name: known.load(folder / f"{name}{known.SUFFIX}") for name in {*names, Popularity.name}}
        popularity = parts[Popularity.name]
        assert isinstance(popularity, Popularity)
        return cls([parts[name] for name in names], np.concatenate([weights[name] for name in names]), popularity, each)

    def _of(self, place: int) -> Floats:
        return self.weights[len(KINDS) * place : len(KINDS) * (place + 1)]
