from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from brightspark.speech.subtitles import LINE_CHARS, LINES, MOST_SECONDS, cues, srt, vtt


def _words(texts: list[str], *, start: float = 0.0, each: float = 0.4) -> list[dict[str, object]]:
    return [
        {"word": text, "start": start + number * each, "end": start + (number + 0.9) * each, "confidence": 1.0}
        for number, text in enumerate(texts)
    ]


@given(st.lists(st.text("abcdefg.?", min_size=1, max_size=14), max_size=60), st.floats(0.01, 3))
def test_shows_every_word_once_in_order_and_no_more_than_can_be_read(texts: list[str], each: float) -> None:
    shown = list(cues(_words(texts, each=each)))
    assert " ".join(cue.text for cue in shown).split() == texts
    for cue, after in pairwise(shown):
        assert cue.end <= after.start
    for cue in shown:
        lines = cue.text.split("\n")
        assert len(lines) <= LINES
        assert all(len(line) <= LINE_CHARS for line in lines)
        assert cue.start <= cue.end
        assert cue.end - cue.start <= MOST_SECONDS or len(cue.text.split()) == 1


def test_ends_with_sentences_and_at_pauses() -> None:
    words = [*_words(["Good", "morning.", "How", "are"]), *_words(["you?"], start=9)]
    assert [cue.text for cue in cues(words)] == ["Good morning.", "How are", "you?"]


def test_writes_hours_and_escapes_what_would_be_a_tag() -> None:
    words = [{"word": "<b>&", "start": 3661.0014, "end": 3662.9996}]
    assert srt(words) == "1\n01:01:01,001 --> 01:01:03,000\n<b>&\n"
    assert vtt(words) == "WEBVTT\n\n01:01:01.001 --> 01:01:03.000\n&lt;b&gt;&amp;\n"


def test_nothing_said_is_no_subtitle() -> None:
    assert srt([]) == ""
    assert vtt([]) == "WEBVTT\n"


def test_scripts_without_spaces_get_none() -> None:
    assert [cue.text for cue in cues(_words(["今", "天", "OK", "天", "气"]))] == ["今天 OK 天气"]
