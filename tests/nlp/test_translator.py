"""Translations without Spark: those of transformers' `generate`, in each family; long texts, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brightspark.core.errors import ArtifactError, SettingError
from brightspark.nlp import TranslatorModel
from brightspark.nlp.sentences import parts
from brightspark.nlp.translate import Translated, joined
from brightspark.nlp.translation_settings import TranslationSettings
from tests.nlp.checkpoints import text
from tests.nlp.translators import FAMILIES, plain_lengths, plain_translations, save_translator

pytestmark = pytest.mark.usefixtures("one_thread")

SAID = [text(("glad", "grim", "")[seed % 3], seed, words=seed % 9) for seed in range(18)]
LONGEST = 14  # tokens of a translation


@pytest.fixture(scope="module")
def mbart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_translator(tmp_path_factory.mktemp("translator") / "mbart50", "mbart50")


def translator(folder: Path, family: str = "mbart50", **settings: Any) -> TranslatorModel:
    return TranslatorModel.pretrained(str(folder), precision="float32", **FAMILIES[family], **settings)


def assert_generates_the_same(folder: Path, family: str, settings: dict[str, Any], generation: dict[str, Any]) -> None:
    wanted = plain_translations(folder, SAID, **FAMILIES[family], max_new_tokens=LONGEST, **generation)
    assert len({said for said, _ in wanted}) > 2, "the translations do not differ"
    scorer = translator(folder, family, max_new_tokens=LONGEST, **settings).scorer()
    [outcomes] = scorer.score([[{"text": said} for said in SAID]])
    assert [outcome.error for outcome in outcomes] == [None] * len(SAID)
    assert [outcome.answer["translation"] for outcome in outcomes] == [said for said, _ in wanted]
    assert [outcome.answer["score"] for outcome in outcomes] == pytest.approx([score for _, score in wanted], abs=1e-4)


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_translated_as_generate_translates_each_alone(family: str, beams: int, tmp_path: Path) -> None:
    folder = save_translator(tmp_path / family, family)
    assert_generates_the_same(folder, family, {"beams": beams}, {"num_beams": beams, "early_stopping": False})


@pytest.mark.parametrize(
    ("settings", "generation"),
    [
        ({"early_stopping": "true"}, {"early_stopping": True}),
        ({"early_stopping": "never", "length_penalty": 2.0}, {"early_stopping": "never", "length_penalty": 2.0}),
        ({"length_penalty": -1.0}, {"length_penalty": -1.0}),
    ],
    ids=["early", "never", "short"],
)  # fmt: skip
def test_the_search_ends_where_generate_ends_it(
    mbart: Path, settings: dict[str, Any], generation: dict[str, Any]
) -> None:
    assert_generates_the_same(
        mbart, "mbart50", {"beams": 3, **settings}, {"num_beams": 3, "early_stopping": False, **generation}
    )


def test_nothing_is_repeated_where_it_must_not(mbart: Path) -> None:
    said = [{"text": one} for one in SAID]
    wanted = plain_translations(
        mbart, SAID, **FAMILIES["mbart50"], num_beams=2, max_new_tokens=LONGEST, no_repeat_ngram_size=2
    )
    free, bound = (translator(mbart, beams=2, max_new_tokens=LONGEST, no_repeat_ngram=most).scorer() for most in (0, 2))
    [outcomes] = bound.score([said])
    assert [outcome.answer["translation"] for outcome in outcomes] == [one for one, _ in wanted]
    [others] = free.score([said])
    assert [outcome.answer for outcome in outcomes] != [outcome.answer for outcome in others]


def test_rows_leave_the_batch_when_they_are_done(mbart: Path) -> None:
    scorer = translator(mbart, beams=2, max_new_tokens=40, batch_size=4096).scorer()
    network = scorer.predictor.module
    assert network is not None
    rows: list[int] = []
    network.get_decoder().register_forward_pre_hook(
        lambda module, given, named: rows.append(len(named["input_ids"])), with_kwargs=True
    )
    [outcomes] = scorer.score([[{"text": said} for said in SAID]])
    assert all(outcome.error is None for outcome in outcomes)
    assert rows[0] == 2 * len(SAID)
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] < rows[0] / 2


def test_a_long_text_is_split_at_its_sentences_and_joined(mbart: Path) -> None:
    sentences = [f"{text('glad', seed, words=9)}." for seed in range(6)]
    model = translator(mbart, beams=1, max_new_tokens=LONGEST, max_tokens=20)
    scorer = model.scorer()
    alone = [scorer.one({"text": sentence}).answer["translation"] for sentence in sentences]
    gaps = [" ", "\n\n", "  ", " ", "\n", ""]
    outcome = scorer.one({"text": "".join(f"{said}{gap}" for said, gap in zip(sentences, gaps, strict=True))})
    assert outcome.answer["translation"] == "".join(f"{said}{gap}" for said, gap in zip(alone, gaps, strict=True))


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"marian-several"}))  # all of which run to the end
def test_a_translation_that_is_cut_says_so(family: str, tmp_path: Path) -> None:
    """Greedy decoding says the same tokens whatever room it has: those are cut that would have said more."""
    folder = save_translator(tmp_path / family, family)
    lengths = plain_lengths(folder, SAID, **FAMILIES[family], num_beams=1, max_new_tokens=60)
    room = next(most for most in range(min(lengths) + 1, max(lengths)) if most not in lengths)
    scorer = translator(folder, family, beams=1, max_new_tokens=room).scorer()
    [outcomes] = scorer.score([[{"text": said} for said in SAID]])
    assert [outcome.answer["cut"] for outcome in outcomes] == [length > room for length in lengths]


def test_one_part_that_is_cut_is_enough() -> None:
    parts_of = [Translated("a", -1.0, cut, 3, " ") for cut in (False, True, False)]
    assert joined({}, parts_of)["cut"]
    assert not joined({}, parts_of[:1])["cut"]


def test_the_column_that_says_so_is_there_where_it_is_named(mbart: Path) -> None:
    assert list(translator(mbart).outputs()) == ["translation", "score", "error"]
    assert translator(mbart, cut_col="cut").outputs()["cut"] == "answer.cut"


class TestParts:
    def test_sentences_that_fit_stay_together(self) -> None:
        found = list(parts("A b. C d! E f?\nG h i j", lambda said: len(said.split()), 4))
        assert found == [("A b. C d!", " "), ("E f?", "\n"), ("G h i j", "")]

    def test_closing_quotes_belong_to_their_sentence(self) -> None:
        found = [said for said, _ in parts('"So it is." He went. And so on.', len, 20)]
        assert found == ['"So it is." He went.', "And so on."]

    def test_scripts_without_spaces(self) -> None:
        assert [said for said, _ in parts("你好。我很好。再见！", len, 4)] == ["你好。", "我很好。", "再见！"]

    def test_a_sentence_that_does_not_fit_is_cut_between_words_and_a_word_between_characters(self) -> None:
        found = list(parts("one two three " + "x" * 9, len, 7))
        assert found == [("one two", " "), ("three", " "), ("xxxx", ""), ("xxxxx", "")]

    @pytest.mark.parametrize("said", ["a b c. d e", "x" * 40, "One. Two.  Three.\n\nFour", "¡Hola! ¿Qué tal? Bien…"])
    def test_nothing_is_lost(self, said: str) -> None:
        assert "".join(part + gap for part, gap in parts(said, len, 5)) == said
        assert all(len(part) <= 5 for part, _ in parts(said, len, 5))


@pytest.mark.parametrize(
    ("said", "reason"), [(None, "null"), ("", "empty"), (" \n", "empty"), (7, "int"), ("x" * 101, "101 characters")]
)
def test_what_is_no_text_says_so(mbart: Path, said: Any, reason: str) -> None:
    scorer = translator(mbart, beams=1, max_new_tokens=4, max_chars=100).scorer()
    [[good, bad]] = scorer.score([[{"text": "glad"}, {"text": said}]])
    assert good.error is None
    assert bad.answer is None
    assert reason in str(bad.error)


@pytest.mark.parametrize(
    "said",
    [
        "שלום עולם", "😀😀 glad 👨\u200d👩\u200d👧", "a \ud800 lone surrogate", "bell \x07 and \x00",
        "<b>glad</b>&amp;", "a" * 20_000,
    ],
    ids=["hebrew", "emoji", "surrogate", "control", "html", "one-word"],
)  # fmt: skip
def test_any_other_text_gets_an_answer(mbart: Path, said: str) -> None:
    outcome = translator(mbart, beams=1, max_new_tokens=2).scorer().one({"text": said})
    assert outcome.error is None
    assert outcome.answer["score"] <= 0


class TestLanguages:
    def test_many_languages_must_be_told(self, mbart: Path) -> None:
        with pytest.raises(SettingError, match=r"target_language.*de_DE"):
            TranslatorModel.pretrained(str(mbart), source_language="en_XX")

    def test_an_unknown_one_is_refused_with_the_nearest(self, mbart: Path) -> None:
        with pytest.raises(SettingError, match=r"'de_DD' is unknown.*de_DE"):
            TranslatorModel.pretrained(str(mbart), source_language="en_XX", target_language="de_DD")

    @pytest.mark.parametrize(
        ("family", "languages", "reason"),
        [
            ("nllb", {"source_language": "eng", "target_language": "deu_Latn"}, "eng_Latn"),
            ("m2m100", {"source_language": "en", "target_language": "deu"}, "'deu' is unknown"),
            ("marian-several", {}, "deu, fra"),
            ("marian-several", {"target_language": "ita"}, "'ita' is unknown"),
            ("marian", {"target_language": "fra"}, "'deu'"),
            ("t5", {"target_language": "German"}, "both"),
        ],
    )
    def test_of_each_family(self, family: str, languages: dict[str, str], reason: str, tmp_path: Path) -> None:
        folder = save_translator(tmp_path / family, family)
        with pytest.raises(SettingError, match=reason):
            TranslatorModel.pretrained(str(folder), **languages)


class TestRefused:
    def test_a_classifier_is_no_translator(self, classifier: Path) -> None:
        with pytest.raises(ArtifactError, match="translator"):
            TranslatorModel.pretrained(str(classifier))

    @pytest.mark.parametrize(
        "setting",
        [{"beams": 0}, {"no_repeat_ngram": -1}, {"max_new_tokens": 0}, {"max_tokens": 7}, {"early_stopping": "maybe"},
         {"batch_size": 0}, {"score_col": "error"}, {"cut_col": "error"}],
    )  # fmt: skip
    def test_settings_that_cannot_be(self, setting: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match="error" if "error" in setting.values() else next(iter(setting))):
            TranslationSettings(**setting)
