"""A text as HTML, its tokens coloured by what they add to an answer. Knows neither torch nor Spark."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

FOR, AGAINST = "26, 134, 88", "190, 60, 60"  # green and red


def coloured(text: str, tokens: Iterable[Mapping[str, Any]]) -> str:
    """HTML of a text: green is what speaks for the label, red what speaks against it, the deeper the more.

    `tokens` have `start`, `end` and `weight`, in order. The colours are scaled to the weightiest token of the text.

    >>> coloured("so good", [{"start": 3, "end": 7, "weight": 2.0}])
    'so <span style="background: rgba(26, 134, 88, 0.75)" title="+2.00">good</span>'
    """
    tokens = list(tokens)
    most = max((abs(token["weight"]) for token in tokens), default=0.0) or 1.0
    made, done = [], 0
    for token in tokens:
        start, end, weight = max(done, token["start"]), token["end"], token["weight"]
        if end <= start:
            continue
        colour, depth = FOR if weight > 0 else AGAINST, 0.75 * abs(weight) / most
        made.append(html.escape(text[done:start]))
        style = f"background: rgba({colour}, {depth:.2f})"
        made.append(f'<span style="{style}" title="{weight:+.2f}">{html.escape(text[start:end])}</span>')
        done = end
    return "".join([*made, html.escape(text[done:])])
