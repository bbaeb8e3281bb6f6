"""Finds items by their names, for who types: tens of thousands of names never leave the server. Knows no Spark."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from brightspark.recsys.part import Floats

MOST_CHARS = 200  # of what is typed: more of it finds nothing else


class Names:
    """The names of a catalogue, in the order of the codes, as they are looked for."""

    def __init__(self, names: Iterable[str], weights: Floats) -> None:
        """`weights` says how popular each item is."""
        self._names = [f" {_folded(name)}" for name in names]
        order = np.argsort(-weights, kind="stable")
        self._order = [int(code) for code in order]

    def find(self, typed: str, most: int) -> tuple[list[int], int]:
        """The codes of the best matches, and how many there are.

        All words of what is typed stand in a name, in any order, without regard to case and accents. Names that start
        with it come first, then those that have it at a word's start, then all others; whole words before parts of
        them; of equal ones the more popular.

        >>> names = Names(["A Toy Story", "toys", "The Story of a Toy", "Toy Story", "Amélie"], np.arange(5.0))
        >>> names.find("TOY", 3), names.find("story toy", 9), names.find("amelie", 9), names.find("  ", 9)
        (([3, 1, 2], 4), ([3, 2, 0], 3), ([4], 1), ([], 0))
        """
        words = _folded(typed[:MOST_CHARS]).split()
        if not words:
            return [], 0
        found = [code for code in self._order if all(word in self._names[code] for word in words)]
        found.sort(key=lambda code: _worth(self._names[code], " ".join(words)))  # the order of equal ones stays
        return found[:most], len(found)

    def called(self, names: Sequence[str]) -> list[int]:
        """The codes of those of some names that are in the catalogue, written just like that; the most popular of each.

        >>> Names(["Heat (1995)", "Heat (1986)", "Babe"], np.array([9.0, 1, 5])).called(["Babe", "Big", "Heat (1986)"])
        [2, 1]
        """
        wanted = {f" {_folded(name)}": place for place, name in enumerate(names)}
        found: dict[int, int] = {}
        for code in self._order:
            place = wanted.get(self._names[code])
            if place is not None:
                found.setdefault(place, code)
        return [found[place] for place in sorted(found)]


def _worth(name: str, typed: str) -> int:
    """How well a name suits what is typed: the less, the better. A blank stands before a name."""
    name = f"{name} "
    start, word = f" {typed}", f" {typed} "
    return (name.startswith(word), name.startswith(start), word in name, start in name, True).index(True)


def _folded(text: str) -> str:
    """Without case, accents and signs, unless there is nothing else.

    >>> _folded("  Amélie: the  DÉBUT!"), _folded("!!!")
    ('amelie the debut', '!!!')
    """
    plain = "".join(one for one in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(one))
    return re.sub(r"[\W_]+", " ", plain).strip() or text.strip()
