"""A recommender in this process for the app: lists for who likes some items, items like others, items by their names.

Knows no Spark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from brightspark.apps.engine import Engine
from brightspark.core.errors import InputError
from brightspark.core.score import Scorer
from brightspark.recsys.app_search import Names
from brightspark.recsys.predictor import Recommender, lists, similar
from brightspark.recsys.settings import ListSettings, RecommenderSettings

K = 10
STEPS = 10  # from the best items to those that are least alike

# An artifact brings the columns of the tables that it was made for; the tab has its own.
OWN: dict[str, Any] = {"user_col": "user", "item_col": "item", "history_col": "history", "rank_col": None}


@dataclass(frozen=True)
class Place:
    """An item of a list."""

    code: int
    name: str
    reason: str | None
    share: float
    """Of the bar, from 0 to 1."""


class Lister:
    """Recommends to who likes some items. Items are named by their codes, as they stand in the catalogue."""

    def __init__(self, known: Recommender, settings: RecommenderSettings) -> None:
        """Has each list made once: the first one takes longest."""
        self.known = known
        self._settings = asdict(settings) | OWN | {"k": K}
        self._similar = Engine(Scorer(similar(known, ListSettings(**self._settings))))
        self._engine = lru_cache(maxsize=STEPS + 1)(self._new)
        names = map(known.catalogue.name, range(self.items))
        self.names = Names(names, known.hybrid.popularity.users)
        self.recommend([], 0.0)
        self.like(0)

    @property
    def items(self) -> int:
        """Of the catalogue."""
        return self.known.hybrid.items

    def name(self, code: int) -> str:
        """What to call an item."""
        return self.known.catalogue.name(code)

    def code(self, key: str) -> int:
        """An item's code from a button's key; raises InputError for what is none."""
        if not (key.isascii() and key.isdigit() and len(key) < 12 and int(key) < self.items):
            raise InputError(f"{key[:20]!r} is no item's number: load the page again")
        return int(key)

    def recommend(self, liked: Sequence[int], diversity: float) -> tuple[list[Place], float]:
        """The best items for who likes some, and the seconds that took; for who likes none what is popular.

        A place's share is how likely it is that it is turned to, beside the first one: scores are those of a softmax.
        Those of a single part are not, nor are numbers of users, for who likes none: there it is the score's share.
        """
        engine = self._engine(round(STEPS * min(max(diversity, 0.0), 1.0)))
        record = {"user": None, "history": [self._id(code) for code in liked]}
        found, seconds = self._ask(engine, record)
        first = found[0]["score"] if found else 0.0

        def share(score: float) -> float:
            if liked and len(self.known.hybrid.parts) > 1:
                return math.exp(min(0.0, score - first))
            return max(0.0, score / first) if first > 0 else 0.0

        return [self._place(one, share(one["score"])) for one in found], seconds

    def like(self, code: int) -> tuple[list[Place], float]:
        """What is most like an item, and the seconds that took; a place's share is the cosine. Others are left out."""
        found, seconds = self._ask(self._similar, {"item": self._id(code)})
        return [self._place(one, min(1.0, one["score"])) for one in found if one["score"] > 0], seconds

    def _new(self, step: int) -> Engine:
        return Engine(Scorer(lists(self.known, ListSettings(**self._settings, diversity=step / STEPS))))

    def _ask(self, engine: Engine, record: dict[str, Any]) -> tuple[list[dict[str, Any]], float]:
        outcome, seconds = engine.one(record)
        if outcome.error is not None:
            raise InputError(outcome.error.partition(": ")[2] or outcome.error)
        columns = outcome.answer
        reasons = columns["reason"] or [None] * len(columns["item"])
        found = zip(columns["item"], columns["score"], reasons, strict=True)
        return [{"item": item, "score": score, "reason": reason} for item, score, reason in found], seconds

    def _place(self, one: dict[str, Any], share: float) -> Place:
        code = self.known.catalogue.item_code(one["item"])
        return Place(code, self.name(code), one["reason"], share)

    def _id(self, code: int) -> Any:
        return self.known.catalogue.items[code].as_py()
