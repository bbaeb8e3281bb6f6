"""A recommender as the engine wants it: pairs, lists for users, and items like others. Knows no Spark."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from brightspark.core.errors import InputError
from brightspark.core.predictor import Predictor, Record, Work
from brightspark.recsys.catalogue import Catalogue
from brightspark.recsys.content import Content
from brightspark.recsys.hybrid import Hybrid
from brightspark.recsys.likeness import Likeness, diverse, support
from brightspark.recsys.nearest import FILE, Nearest, open_index
from brightspark.recsys.part import UNKNOWN, Codes, Floats
from brightspark.recsys.settings import ListSettings, RecommenderSettings
from brightspark.recsys.top import best

FEATURES = "features.json"  # the names of what is known of items
BLOCK_BYTES = 16 << 20  # of one part's scores of users × items
LIKED = 2  # items that a reason names
POOL = 5  # times k: the best items, among which a diverse list is chosen
POPULAR = "popular"
PAIR = pa.struct([("prediction", pa.float64()), ("rank", pa.int32())])
"""The answer for a pair."""
NONE = np.empty(0, dtype=np.int32)


@dataclass(frozen=True)
class Recommender:
    """What an artifact holds."""

    hybrid: Hybrid
    catalogue: Catalogue
    features: tuple[str, ...]
    folder: Path

    @classmethod
    def load(cls, folder: Path, candidates: int) -> Self:
        """Raises ArtifactError where files are missing or of another kind."""
        named = folder / FEATURES
        features = tuple(json.loads(named.read_text())) if named.exists() else ()
        return cls(Hybrid.load(folder, candidates), Catalogue.load(folder), features, folder)

    @cached_property
    def likeness(self) -> Likeness:
        """Of the items."""
        return Likeness.of(self.hybrid.parts)

    @cached_property
    def index(self) -> Nearest | None:
        """Of the items, where there are many."""
        file = self.folder / FILE
        return open_index(file) if file.exists() else None

    def similar(self, items: Codes, k: int) -> Iterator[tuple[Codes, Floats]]:
        """The k items that are most like each, without itself, and the cosines.

        One of which nothing is known is like none, and none is like it.
        """
        known = self.likeness.known
        for block in self.blocks(len(items)):
            asked = items[block]
            if self.index is not None:
                near, cosines = self.index.nearest(self.likeness.vectors(asked), k + 1)
            else:
                scores = self.likeness.to_all(asked)
                scores[:, ~known] = -np.inf
                near, cosines = best(scores, k + 1)
            for item, found, said in zip(asked, near, cosines, strict=True):
                others = (found != item) & known[item]
                yield found[others][:k], said[others][:k]

    @cached_property
    def content(self) -> Content | None:
        """The part that knows the items' features."""
        return next((part for part in self.hybrid.parts if isinstance(part, Content)), None)

    def blocks(self, number: int) -> Iterable[slice]:
        """So many users in blocks whose scores fit into memory."""
        width = max(1, BLOCK_BYTES // (4 * self.hybrid.items))
        return (slice(start, start + width) for start in range(0, number, width))

    def reasons(self, history: Codes, items: Codes) -> Iterator[tuple[str, Codes]]:
        """Why each item suits who has this history, and which of its items say so."""
        if not len(history):
            yield from [(POPULAR, NONE)] * len(items)
            return
        speaking = support(self.hybrid.parts, self.likeness, history, items)
        order = np.argsort(-speaking, axis=0, kind="stable")[:LIKED]
        for item, best_first, said in zip(items, order.T, speaking.T, strict=True):
            liked = history[best_first[said[best_first] > 0]]
            rated = self.hybrid.popularity.users[item] > 0
            feature = None if rated and len(liked) else self._feature(history, int(item))
            if feature is not None:
                yield feature, liked
            elif rated and len(liked):
                yield f"like {', '.join(map(self.catalogue.name, liked))}", liked
            else:
                yield POPULAR, NONE

    def _feature(self, history: Codes, item: int) -> str | None:
        if self.content is None:
            return None
        shared = self.content.features[history].mean(axis=0) * self.content.features[item]
        place = int(shared.argmax())
        return self.features[place] if shared[place] > 0 else None


def load_pairs(folder: Path, device: str, settings: RecommenderSettings) -> Predictor:
    """Scores pairs of user and item."""
    known = Recommender.load(folder, settings.candidates)

    def split(record: Record, work: Work) -> Iterable[Any]:
        yield record[settings.user_col], _item(known, record[settings.item_col]), _told(known, record, settings)

    def predict(pairs: Sequence[Any]) -> list[dict[str, Any]]:
        # A user of several pairs is scored once, by the same history.
        keys = [(user, None if told is None else told.tobytes()) for user, _, told in pairs]
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        first = {key: number for number, key in reversed(list(enumerate(keys)))}
        whom = [pairs[first[key]] for key in places]
        histories, users = known.catalogue.histories_of(
            known.catalogue.user_codes([user for user, _, _ in whom]), [told for _, _, told in whom]
        )
        rows = np.array([places[key] for key in keys])
        items = np.array([item for _, item, _ in pairs])
        scores, ranks = np.empty(len(pairs), dtype=np.float32), np.zeros(len(pairs), dtype=np.int32)
        for block in known.blocks(len(whom)):
            of = np.flatnonzero((rows >= block.start) & (rows < block.stop))
            of = of[np.argsort(rows[of], kind="stable")]
            scores[of], ranks[of] = known.hybrid.pairs(
                histories[block], users[block], rows[of] - block.start, items[of], placed=settings.rank_col is not None
            )
        return [
            {"prediction": float(score), "rank": int(rank) if rank else None}
            for score, rank in zip(scores, ranks, strict=True)
        ]

    columns = (settings.user_col, settings.item_col, *_history(settings))
    return _predictor(columns, PAIR, split, predict, settings)


def load_lists(folder: Path, device: str, settings: ListSettings) -> Predictor:
    """Recommends to users."""
    return lists(Recommender.load(folder, max(settings.candidates, settings.k)), settings)


def lists(known: Recommender, settings: ListSettings) -> Predictor:
    """Recommends to users, by what is loaded already."""
    hidden = _hidden(known, settings)

    def split(record: Record, work: Work) -> Iterable[Any]:
        yield record[settings.user_col], _told(known, record, settings)

    def predict(asked: Sequence[Any]) -> list[dict[str, Any]]:
        codes = known.catalogue.user_codes([user for user, _ in asked])
        histories, users = known.catalogue.histories_of(codes, [told for _, told in asked])
        found = []
        for block in known.blocks(len(asked)):
            scores = known.hybrid.scores(histories[block], users[block], hidden)
            chosen = _chosen(known, scores, settings)
            rows = np.split(histories[block].indices, histories[block].indptr[1:-1]) if settings.reasons else None
            found += _listed(known, chosen, rows)
        return found

    columns = (settings.user_col, *_history(settings))
    return _predictor(columns, list_type(known.catalogue.items.type), split, predict, settings)


def load_similar(folder: Path, device: str, settings: ListSettings) -> Predictor:
    """Finds items that are like others."""
    return similar(Recommender.load(folder, settings.candidates), settings)


def similar(known: Recommender, settings: ListSettings) -> Predictor:
    """Finds items that are like others, by what is loaded already."""

    def split(record: Record, work: Work) -> Iterable[Any]:
        yield _item(known, record[settings.item_col])

    def predict(items: Sequence[int]) -> list[dict[str, Any]]:
        return _listed(known, list(known.similar(np.array(items, dtype=np.int32), settings.k)), None)

    return _predictor((settings.item_col,), list_type(known.catalogue.items.type), split, predict, settings)


def load_users(folder: Path, device: str, settings: ListSettings) -> Predictor:
    """Names the users that were learned from, by their codes in the column `id`."""
    users = Catalogue.load(folder).users
    of = pa.struct([("user", users.type)])
    return _predictor(("id",), of, _code, lambda codes: [{"user": users[code].as_py()} for code in codes], settings)


def _code(record: Record, work: Work) -> Iterable[int]:
    yield record["id"]


def list_type(item: pa.DataType) -> pa.StructType:
    """The answer for a list of items with ids of a type: columns, the best item first; without reasons those are empty.

    A list of structs would be as clear, and a Python object for each item.
    """
    of = {"item": item, "score": pa.float64(), "reason": pa.string(), "liked": pa.list_(item)}
    return pa.struct([(name, pa.list_(each)) for name, each in of.items()])


def _predictor(
    columns: tuple[str, ...],
    answer: pa.StructType,
    split: Callable[[Record, Work], Iterable[Any]],
    predict: Callable[[Sequence[Any]], Sequence[Any]],
    settings: RecommenderSettings,
) -> Predictor:
    return Predictor(
        columns=columns,
        answer_type=answer,
        split=split,
        prepare=list,
        predict=predict,
        batch_cost=settings.batch_size,
        window_batches=1,
    )


def _item(known: Recommender, item: Any) -> int:
    code = known.catalogue.item_code(item)
    if code == UNKNOWN:
        raise InputError("there is no item" if item is None else f"item {item!r} is not in the catalogue")
    return code


def _history(settings: RecommenderSettings) -> tuple[str, ...]:
    return () if settings.history_col is None else (settings.history_col,)


def _told(known: Recommender, record: Record, settings: RecommenderSettings) -> Codes | None:
    """The items that a record tells of its user, of those that are known, in order; None where it tells nothing.

    Of one that is told several times the last place counts, as in training.
    """
    items = None if settings.history_col is None else record[settings.history_col]
    if not items:
        return None
    codes = dict.fromkeys(known.catalogue.item_code(item) for item in reversed(items))
    return np.array([code for code in reversed(codes) if code != UNKNOWN], dtype=np.int32)


def _hidden(known: Recommender, settings: ListSettings) -> Any:
    """Whether each item may not be recommended; ids that the catalogue lacks change nothing."""
    hidden = np.full(known.hybrid.items, settings.allow is not None)
    for listed, value in ((list(settings.allow or ()), False), (list(settings.deny), True)):
        codes = known.catalogue.item_codes(listed)
        hidden[codes[codes != UNKNOWN]] = value
    return hidden


def _chosen(known: Recommender, scores: Floats, settings: ListSettings) -> list[tuple[Codes, Floats]]:
    """The items of each user's list, and their scores."""
    if not settings.diversity:
        return list(zip(*best(scores, settings.k), strict=True))
    items, said = best(scores, POOL * settings.k)
    chosen: list[tuple[Codes, Floats]] = []
    for row, values in zip(items, said, strict=True):
        row, values = row[row >= 0], values[row >= 0]
        if len(row):
            places = diverse(values, known.likeness.vectors(row), settings.k, settings.diversity)
            row, values = row[places], values[places]
        chosen.append((row, values))
    return chosen


def _listed(
    known: Recommender, chosen: Sequence[tuple[Codes, Floats]], histories: Sequence[Codes] | None
) -> list[dict[str, Any]]:
    """Lists as answers; with the users' histories they say why."""
    lists = [items[items >= 0] for items, _ in chosen]
    ids, ends = known.catalogue.ids(np.concatenate([*lists, NONE])), np.cumsum([0, *map(len, lists)])
    found = []
    for row, (items, (_, scores)) in enumerate(zip(lists, chosen, strict=True)):
        why = [] if histories is None else list(known.reasons(histories[row], items))
        found.append({
            "item": ids[ends[row] : ends[row + 1]],
            "score": scores[: len(items)].astype(np.float64),
            "reason": [reason for reason, _ in why],
            "liked": [known.catalogue.ids(liked) for _, liked in why],
        })  # fmt: skip
    return found
