"""The part of the app's tab on texts that translates one."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence

import gradio as gr

from brightspark.apps import html
from brightspark.apps.engine import Engine
from brightspark.core.checkpoint_network import load_config, load_tokenizer
from brightspark.core.worker import local_folder
from brightspark.nlp import app_ask
from brightspark.nlp.languages import offered
from brightspark.nlp.translator import TranslatorModel

CANNOT = "This text cannot be translated"
MAX_CHARS = 5_000
LANGUAGES = {"source_language": "From", "target_language": "Into"}  # the settings, and what the page calls them


class Interpreter:
    """A translator in this process, for one direction at a time: a network that knows many languages is large."""

    def __init__(self, model: TranslatorModel) -> None:
        """Loads the network where the direction is known, and has it answer once: the first answer takes longest."""
        folder = local_folder(model.artifact)
        codes = offered(load_tokenizer(folder), load_config(folder).model_type)
        self.model = model
        self.offered = {name: known for name, known in zip(LANGUAGES, codes, strict=True) if known}
        self._held: tuple[Sequence[str | None], Engine] | None = None
        self._loading = threading.Lock()
        if None not in self.preset:
            self._engine(self.preset).one({"text": "once"})

    @property
    def preset(self) -> list[str | None]:
        """The languages that the model's settings name, of those that it offers."""
        return [getattr(self.model.settings, name) for name in self.offered]

    def answer(self, text: str, *languages: str | None) -> Iterator[str]:
        """A text's translation, or what is wrong with it, as HTML; `languages` are values for what is offered."""
        chosen = [language or None for language in languages]
        if None in chosen:
            named = " and ".join(f"“{LANGUAGES[name]}”" for name in self.offered)
            yield html.problem(CANNOT, f"This model knows many languages: choose under {named}.")
            return
        held = self._held
        if held is None or held[0] != chosen:
            yield html.note("Loading the network for these languages …")
        outcome, seconds = self._engine(chosen).one({"text": text})
        if outcome.error is not None:
            yield html.problem(CANNOT, app_ask.reason(outcome.error))
            return
        sure = html.percent(math.exp(outcome.answer["score"]))
        took = f"Translated in {1000 * seconds:,.0f} ms; its tokens have a probability of {sure} on average"
        yield html.said(outcome.answer["translation"], nothing="The model says nothing to this.") + html.took(took)

    def controls(self) -> Sequence[gr.Dropdown]:
        """What the languages are chosen by, in the order of `answer`."""
        return [
            gr.Dropdown(codes, value=value, label=LANGUAGES[name], elem_id=f"translation-{name.partition('_')[0]}")
            for (name, codes), value in zip(self.offered.items(), self.preset, strict=True)
        ]

    def _engine(self, languages: Sequence[str | None]) -> Engine:
        with self._loading:
            if self._held is None or self._held[0] != languages:
                self._held = None  # what is held gives its memory back first
                told = dict(zip(self.offered, languages, strict=True))
                model = self.model.copy({self.model.getParam(name): value for name, value in told.items()})
                self._held = (languages, Engine(model.scorer()))
            return self._held[1]


def build(model: TranslatorModel, examples: Sequence[str]) -> None:
    """Builds this part of the tab, with its network loaded where its languages are known."""
    interpreter = Interpreter(model)
    app_ask.build(
        "translation",
        label="Text to translate",
        button="Translate",
        awaiting="Type a text: here comes its translation.",
        cannot=CANNOT,
        max_chars=MAX_CHARS,
        examples=examples,
        answer=interpreter.answer,
        controls=interpreter.controls,
    )
