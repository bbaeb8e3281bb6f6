"""What the app's tab on recommendations shows to one visitor, as HTML: what is found, chosen, recommended and alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brightspark.apps import html, picks
from brightspark.core.errors import BrightsparkError, InputError
from brightspark.recsys.app_lists import Lister, Place

CANNOT = "This cannot be recommended from"
MOST_FOUND = 8
MOST_CHOSEN = 50
LIKE, MORE = "like", "more"  # what the buttons below a row do


@dataclass(frozen=True)
class View:
    """A lister's answers in words; `nouns` is what the items are called."""

    lister: Lister
    nouns: str

    def found(self, typed: str) -> str:
        """What a search finds."""
        codes, total = self.lister.names.find(typed, MOST_FOUND)
        return picks.found(self._named(codes), total, typed)

    def first(self, typed: str) -> int | None:
        """The best match of a search, if there is any."""
        codes, _ = self.lister.names.find(typed, 1)
        return codes[0] if codes else None

    def with_one(self, chosen: Sequence[int], code: int) -> list[int]:
        """What is chosen and one item more; raises InputError for too many."""
        if code not in chosen and len(chosen) >= MOST_CHOSEN:
            raise InputError(f"this page takes at most {MOST_CHOSEN} {self.nouns}, and has that many: remove one first")
        return list(dict.fromkeys([*chosen, code]))

    def chosen(self, codes: Sequence[int]) -> str:
        """What is chosen, to be removed."""
        return picks.chips(self._named(codes), "You like")

    def recommended(self, chosen: Sequence[int], diversity: float) -> str:
        """What is recommended to who likes what is chosen, or what is wrong."""
        try:
            places, seconds = self.lister.recommend(chosen, diversity)
        except BrightsparkError as error:
            return html.problem(CANNOT, str(error))
        if not places:
            return html.note("Nothing is left to recommend.")
        title = "You may like" if chosen else "Popular, as long as nothing is chosen"
        bar = "how likely each is" if chosen else "how many people each has"
        took = f"Answered in {1000 * seconds:,.0f} ms. The bar is {bar}, beside the first."
        deeds = [(LIKE, "I like it"), (MORE, "More like it")]
        return picks.ranked(_rows(places), title=title, deeds=deeds) + html.took(took)

    def alike(self, code: int) -> str:
        """What is like an item, or what is wrong."""
        name = self.lister.name(code)
        try:
            places, seconds = self.lister.like(code)
        except BrightsparkError as error:
            return html.problem(CANNOT, str(error))
        if not places:
            return html.note(f"Nothing is known to be like {name[: picks.MOST_CHARS]}.")
        took = f"Answered in {1000 * seconds:,.0f} ms. The bar is how alike two are, by a cosine."
        deeds = [(MORE, "More like it"), (LIKE, "I like it")]
        title = f"Like {name[: picks.MOST_CHARS]}"
        return picks.ranked(_rows(places), title=title, deeds=deeds) + html.took(took)

    def _named(self, codes: Sequence[int]) -> list[tuple[str, str]]:
        return [(str(code), self.lister.name(code)) for code in codes]


def _rows(places: Sequence[Place]) -> list[tuple[str, str, str | None, float]]:
    return [(str(place.code), place.name, place.reason, place.share) for place in places]
