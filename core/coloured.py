"""A text as HTML, parts of it coloured by what they add to an answer. Knows neither torch nor Spark."""

from __future__ import annotations

import html
from collections.abc import Sequence

FOR, AGAINST = "26, 134, 88", "190, 60, 60"  # green and red
DEEPEST = 0.75  # of the colours, so that letters stay readable on them
# For who cannot tell red from green.
UNDERLINE = "text-decoration: underline dotted color-mix(in srgb, currentColor {share:.0%}, transparent); "

Weight = tuple[int, int, float]  # characters, from and to before, and what they add


def coloured(text: str, weights: Sequence[Weight]) -> str:
    """HTML of a text: green is what speaks for the answer, red and underlined what is against it, the deeper the more.

    `weights` are in order. The colours are scaled to the weightiest part of the text: two texts cannot be compared.

    >>> coloured("so <good>", [(4, 8, 2.0)])
    'so &lt;<span style="background: rgba(26, 134, 88, 0.75)" title="+2.00">good</span>&gt;'
    """
    most = max((abs(weight) for _, _, weight in weights), default=0.0) or 1.0
    made, done = [], 0
    for first, end, weight in weights:
        start = max(done, first)
        if end <= start:
            continue
        share = abs(weight) / most
        colour = f"rgba({FOR if weight > 0 else AGAINST}, {DEEPEST * share:.2f})"
        line = "" if weight >= 0 else UNDERLINE.format(share=share)
        shown = f'<span style="{line}background: {colour}" title="{weight:+.2f}">{html.escape(text[start:end])}</span>'
        made += [html.escape(text[done:start]), shown]
        done = end
    return "".join([*made, html.escape(text[done:])])
