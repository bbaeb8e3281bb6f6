"""What the app's tab on texts makes of a model: the one that is named, those that a demo left, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest
import transformers
from playwright.sync_api import Browser, expect

from brightspark.apps.frame import build, chosen
from brightspark.apps.options import Options
from brightspark.core import demo_models
from brightspark.core.demo_models import find, keep
from brightspark.core.errors import ArtifactError
from brightspark.nlp import TextClassifierModel, TextEmbedder, TranslatorModel
from brightspark.nlp.app_labels import Labeller
from brightspark.nlp.app_models import open_model
from brightspark.nlp.app_translation import Interpreter
from tests.apps.served import served, window
from tests.nlp.checkpoints import save_classifier, save_encoder, save_tokenizer
from tests.nlp.translators import save_translator

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

# Office programs put a picture beside the text into the clipboard. True where the browser may do what it does.
PASTE = """() => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array([1])], "a.png"));
  const data = { bubbles: true, cancelable: true, clipboardData: transfer };
  return document.body.dispatchEvent(new ClipboardEvent("paste", data));
}"""


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
