"""The demo's sections on texts."""

from __future__ import annotations

from brightspark.nlp import demo_sentiment

SECTIONS = {"sentiment": demo_sentiment.section}
FULL_SECTIONS = {"sentiment": demo_sentiment.full_section}
