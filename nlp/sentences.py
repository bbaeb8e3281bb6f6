"""Where a long text may be cut. Knows neither torch nor Spark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# Behind a full stop of any script, with the quotes and brackets that close, and at each new line. An abbreviation
# ("Dr. No") is cut as well: the parts are joined again where they fit.
_ENDS = re.compile(r"(?:(?<=[.!?…।۔؟])[\"'”’»)\]]*\s+|(?<=[。！？])[」』”’）]*\s*|\s*\n\s*)")

_SPACES = re.compile(r"\s+")


def parts(text: str, size: Callable[[str], int], most: int) -> Iterator[tuple[str, str]]:
    """A text as parts of at most `most` by `size`, each with the white space that follows it.

    A text that fits is a single part. Else as many sentences as fit are together; one that does not fit itself is cut
    between words, a word that does not fit between characters.

    >>> list(parts("One two. Three!  Four five six", lambda part: len(part.split()), 3))
    [('One two. Three!', '  '), ('Four five six', '')]
    """
    text = text.strip()
    if size(text) <= most:
        yield text, ""
        return
    held = gap = ""
    for piece, space in _fitting(text, size, most):
        if held and size(held + gap + piece) > most:
            yield held, gap
            held = ""
        held = held + gap + piece if held else piece
        gap = space
    if held:
        yield held, gap


def _fitting(text: str, size: Callable[[str], int], most: int) -> Iterator[tuple[str, str]]:
    """Sentences; words of one that is too long; halves of a word that is."""
    for sentence, gap in _cut(text, _ENDS):
        if size(sentence) <= most:
            yield sentence, gap
            continue
        words = list(_cut(sentence, _SPACES))
        for number, (word, space) in enumerate(words):
            after = space if number + 1 < len(words) else gap
            halves = list(_halves(word, size, most))
            yield from [(half, "") for half in halves[:-1]]
            yield halves[-1], after


def _cut(text: str, where: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    start = 0
    for end in [*(found.end() for found in where.finditer(text)), len(text)]:
        said = text[start:end].rstrip()
        if said:
            yield said, text[start + len(said) : end]
            start = end


def _halves(word: str, size: Callable[[str], int], most: int) -> Iterator[str]:
    if len(word) == 1 or size(word) <= most:
        yield word
    else:
        yield from _halves(word[: len(word) // 2], size, most)
        yield from _halves(word[len(word) // 2 :], size, most)
