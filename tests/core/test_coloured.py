"""Coloured text is the text, and no markup of its own."""

from __future__ import annotations

import html
import re

from brightspark.core.coloured import coloured

SAID = "<b>not</b> good & bad 🐕"


def test_what_weighs_most_is_deepest_and_the_text_stays_text() -> None:
    made = coloured(SAID, [(3, 6, -1.0), (11, 15, 2.0), (22, 23, 0.0)])
    assert html.unescape(re.sub("<[^>]*>", "", made)) == SAID
    assert "<b>" not in made
    assert 'rgba(190, 60, 60, 0.38)" title="-1.00">not<' in made
    assert made.count("underline dotted color-mix(in srgb, currentColor 50%, transparent)") == 1
    assert 'rgba(26, 134, 88, 0.75)" title="+2.00">good<' in made


def test_parts_that_overlap_are_shown_once_and_none_at_all_is_the_plain_text() -> None:
    made = coloured("overlapping", [(0, 6, 1.0), (4, 8, 1.0), (5, 6, 3.0)])
    assert re.sub("<[^>]*>", "", made) == "overlapping"
    assert coloured("a < b", []) == "a &lt; b"
