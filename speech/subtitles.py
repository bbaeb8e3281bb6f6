"""Subtitles out of words and their times: SubRip (.srt) and WebVTT (.vtt). Knows neither torch nor Spark."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# What a viewer can read, as the BBC's and Netflix' guides for subtitles have it.
LINE_CHARS = 42
LINES = 2
MOST_SECONDS = 7.0
PAUSE_SECONDS = 1.0  # a longer one ends a subtitle
LEAST_SECONDS = 0.3  # that one is shown for, where the next one lets it
SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "…")

# Between two characters of scripts without spaces (Thai, Lao, Burmese, Japanese, Chinese) there is none.
_SPACELESS = r"\u0e00-\u0eff\u1000-\u109f\u3000-\u30ff\u3400-\u9fff\uff00-\uffef"
_NO_SPACE = re.compile(f"(?<=[{_SPACELESS}]) (?=[{_SPACELESS}])")

Word = Mapping[str, Any]


class Cue(NamedTuple):
    """What is shown at a time."""

    start: float
    end: float
    text: str


def srt(words: Sequence[Word]) -> str:
    """SubRip's text of the words of a transcript, each with `word`, `start` and `end` in seconds.

    >>> print(srt([{"word": "Good", "start": 0.5, "end": 0.8}, {"word": "morning.", "start": 0.8, "end": 1.25}]))
    1
    00:00:00,500 --> 00:00:01,250
    Good morning.
    <BLANKLINE>
    """
    blocks = [
        f"{number}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues(words), start=1)
    ]
    return "\n".join(blocks)


def vtt(words: Sequence[Word]) -> str:
    """WebVTT's text of the words of a transcript, as `srt` takes them; what HTML would take for a tag is escaped.

    >>> print(vtt([{"word": "<3", "start": 3600.0, "end": 3601.0}]))
    WEBVTT
    <BLANKLINE>
    01:00:00.000 --> 01:00:01.000
    &lt;3
    <BLANKLINE>
    """
    blocks = [
        f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n{html.escape(cue.text, quote=False)}\n"
        for cue in cues(words)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def cues(words: Sequence[Word]) -> Iterator[Cue]:
    """Words as subtitles of at most two lines and seven seconds, which end with sentences and at pauses if they can.

    One is shown for 0.3 s at least, unless the next begins before that; they never overlap.
    """
    groups = list(_groups(words))
    starts = [float(group[0]["start"]) for group in groups]
    for group, start, limit in zip(groups, starts, [*starts[1:], float("inf")], strict=False):
        end = float(group[-1]["end"])
        yield Cue(start, max(start, min(max(end, start + LEAST_SECONDS), limit)), _lines(_joined(group)))


def _groups(words: Sequence[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and not _fits(group, word):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _fits(group: list[Word], word: Word) -> bool:
    """Whether a word goes into the subtitle of those before it."""
    return (
        not str(group[-1]["word"]).endswith(SENTENCE_ENDS)
        and word["start"] - group[-1]["end"] <= PAUSE_SECONDS
        and word["end"] - group[0]["start"] <= MOST_SECONDS
        and len(textwrap.wrap(_joined([*group, word]), LINE_CHARS)) <= LINES
    )


def _joined(group: Sequence[Word]) -> str:
    return _NO_SPACE.sub("", " ".join(str(word["word"]) for word in group))


def _lines(text: str) -> str:
    """A text in lines of like length: a short second line reads badly."""
    lines = textwrap.wrap(text, LINE_CHARS)
    if len(lines) < 2:
        return text
    narrow = min(
        (width for width in range(len(text) // len(lines), LINE_CHARS + 1)),
        key=lambda width: (len(textwrap.wrap(text, width)) > len(lines), width),
    )
    return "\n".join(textwrap.wrap(text, narrow))


def _time(seconds: float, point: str) -> str:
    milliseconds = round(max(0.0, seconds) * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"
