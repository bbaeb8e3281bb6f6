"""A dictionary of words learned from pairs of texts: what a translator of the demo and the benchmark has to beat.

It translates word by word, in the order of the source, and says each word in one way only.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 10  # of expectation and maximisation
MAX_PAIRS = 50_000  # that are learned from: 30,000 verses take about 1 GB and 5 s
NOTHING = ""  # stands in each source for what the target says of its own accord
_SOURCE = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_TARGET = re.compile(r"[^\W\d_]+['’]?")  # an elided article is a word: l'eau
_WITHIN = re.compile(r"(?<=[\w,] )[^\W\d_]+['’]?")  # a sentence: a capital there is a name's


def learn(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The likeliest translation of each word of the sources, by the first MAX_PAIRS pairs of source and target.

    Both texts of a pair are taken as sets of words: IBM's model 1 (Brown et al. 1993, aclanthology.org/J93-2003), by
    expectation and maximisation. Words are in lower case; translations are written as they most often are within a
    sentence.

    >>> words = learn([("The house", "La maison"), ("the flower", "la fleur"), ("a house", "une maison")])
    >>> words["house"], words["flower"], words["the"]
    ('maison', 'fleur', 'la')
    """
    forms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    sources, targets = _Numbers(), _Numbers()
    texts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for (source, target), _ in zip(pairs, range(MAX_PAIRS), strict=False):
        for word in _WITHIN.findall(target):
            forms[word.lower()][word] += 1
        texts.append((sources.of([NOTHING, *_SOURCE.findall(source)]), targets.of(_TARGET.findall(target))))
    known = _likeliest(texts, len(targets))
    names = list(targets)
    found = {word: names[known[number]] for word, number in sources.items() if number in known and word != NOTHING}
    return {word: (forms[target].most_common(1) or [(target, 0)])[0][0] for word, target in found.items()}


def translate(text: str, words: Mapping[str, str]) -> str:
    """The text with each word translated; words that are not known, and all between them, stay as they are.

    >>> translate("The house, the water: Nineveh", {"the": "l'", "house": "maison", "water": "eau"})
    "L'maison, l'eau: Nineveh"
    """

    def said(found: re.Match[str]) -> str:
        word = found.group()
        target = words.get(word.lower(), word)
        return target[:1].upper() + target[1:] if word.istitle() and len(word) > 1 else target  # "I" says nothing

    return re.sub(r"(['’]) (?=\w)", r"\1", _SOURCE.sub(said, text))


class _Numbers(dict[str, int]):
    """Words in lower case, numbered as they come."""

    def of(self, words: Sequence[str]) -> NDArray[np.int64]:
        """The numbers of the different words of a text."""
        return np.unique(np.array([self.setdefault(word.lower(), len(self)) for word in words], dtype=np.int64))


def _likeliest(texts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], targets: int) -> dict[int, int]:
    """For each source word the target word that it most probably becomes."""
    linked = [np.add.outer(source * targets, target).ravel() for source, target in texts if len(target)]
    if not linked:
        return {}
    links, place = np.unique(np.concatenate(linked), return_inverse=True)  # of a source word and a target word
    source, target = links // targets, links % targets
    ends = np.cumsum([len(words) for _, words in texts if len(words)])
    slots = [  # for each link, which word of which target text it explains
        np.tile(np.arange(end - len(words), end), len(given))
        for (given, words), end in zip(((s, t) for s, t in texts if len(t)), ends, strict=True)
    ]
    slot = np.concatenate(slots)
    chance = np.ones(len(links))
    for _ in range(ROUNDS):
        share = chance[place]
        share /= np.bincount(slot, share)[slot]
        counts = np.bincount(place, share)
        chance = counts / np.bincount(source, counts)[source]
    best = np.lexsort((target, -chance, source))
    first = best[np.unique(source[best], return_index=True)[1]]
    return dict(zip(source[first].tolist(), target[first].tolist(), strict=True))
