"""The demo's sections on texts."""

from __future__ import annotations

from brightspark.nlp import demo_sentiment, demo_topics, demo_translation

SECTIONS = {
    "sentiment": demo_sentiment.section,
    "topics": demo_topics.section,
    "translation": demo_translation.section,
}
FULL_SECTIONS = {
    "sentiment": demo_sentiment.full_section,
    "topics": demo_topics.full_section,
    "translation": demo_translation.full_section,
}
