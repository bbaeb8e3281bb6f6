"""The dictionary that translators have to beat: which words it learns, and how it says them."""

from __future__ import annotations

import itertools

import pytest

from brightspark.nlp import demo_dictionary
from brightspark.nlp.demo_dictionary import learn, translate

WORDS = {"red": "rouge", "green": "verte", "black": "noire", "house": "maison", "flower": "fleur", "table": "table"}
PAIRS = [
    (f"The {colour} {thing} is in Egypt", f"La {WORDS[thing]} {WORDS[colour]} est en Égypte")
    for colour, thing in itertools.product(list(WORDS)[:3], list(WORDS)[3:])
]


def test_each_word_gets_its_translation_wherever_it_stands() -> None:
    words = learn(PAIRS)
    assert {word: words[word] for word in WORDS} == WORDS


def test_an_unseen_sentence_is_translated_word_by_word() -> None:
    seen = [pair for pair in PAIRS if "green table" not in pair[0]]
    assert translate("green table, red house!", learn(seen)) == "verte table, rouge maison!"


def test_names_keep_their_capital_and_sentences_get_one() -> None:
    words = learn([("Egypt fell", "l'Égypte tomba"), ("he saw Egypt", "il vit Égypte"), ("he fell", "il tomba")])
    assert translate("Fell EGYPT", words) == "Tomba Égypte"


def test_an_elided_word_stands_close_to_the_next() -> None:
    assert translate("the water's edge", {"the": "l'", "water's": "eau"}) == "l'eau edge"


def test_learning_reads_no_more_pairs_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_dictionary, "MAX_PAIRS", 3)
    endless = itertools.cycle([("a house", "une maison"), ("the flower", "la fleur"), ("the house", "la maison")])
    assert learn(endless)["house"] == "maison"


def test_nothing_is_learned_from_nothing() -> None:
    assert learn([]) == {}
    assert learn([("a house", "…"), ("", "une maison")]) == {}
    assert translate("a house", {}) == "a house"
