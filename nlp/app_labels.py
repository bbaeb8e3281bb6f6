"""The part of the app's tab on texts that labels one, and colours it by what each token adds to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from brightspark.apps import html
from brightspark.apps.engine import Engine
from brightspark.core.coloured import coloured
from brightspark.nlp import app_ask
from brightspark.nlp.explanation import TextExplainer
from brightspark.nlp.model import TextClassifierModel

CANNOT = "This text cannot be labelled"
MAX_CHARS = 20_000
EXPLAINED_CHARS = 2_000
ANSWERS = 3  # of the network's, that a step of explaining takes: there and back
PATIENCE = 30.0  # seconds that explaining may be expected to take

EXAMPLES = (
    "The crew was wonderful and we landed twenty minutes early. Thank you!",
    "Three hours on the tarmac, no water, and nobody told us anything.",
    "The conference on self-driving cars starts on Monday at nine.",
    "I wanted to love this phone, but the battery is dead by noon 😞",
    "Not bad at all.",
)


@dataclass(frozen=True)
class Labeller:
    """A classifier in this process, and what explains its answers."""

    model: TextClassifierModel
    engine: Engine
    explainer: Engine
    steps: int
    """Of explaining."""

    @classmethod
    def of(cls, model: TextClassifierModel) -> Labeller:
        """Loads the networks, and has each answer once: the first answer takes longer than all others.

        Raises ArtifactError for a tokenizer that does not say where its tokens lie.
        """
        explaining = TextExplainer.of(model, label_col="label")
        made = cls(model, Engine(model.scorer()), Engine(explaining.scorer()), explaining.settings.steps)
        made.engine.one({"text": "once"})
        made.explainer.one({"text": "once", "label": model.labels[0]})
        return made

    def answer(self, text: str) -> Iterator[str]:
        """A text's labels and then its colours, or what is wrong with it, as HTML."""
        outcome, seconds = self.engine.one({"text": text})
        if outcome.error is not None:
            yield html.problem(CANNOT, app_ask.reason(outcome.error))
            return
        top = [(entry["label"], float(entry["probability"])) for entry in outcome.answer["top"]]
        bars = html.bars(top) + self._verdict(outcome.answer)
        took = f"Answered in {1000 * seconds:,.0f} ms"
        if len(text) > EXPLAINED_CHARS:
            yield bars + html.took(f"{took}. Words are weighed in texts of up to {EXPLAINED_CHARS:,} characters.")
            return
        expected = ANSWERS * self.steps * seconds
        if expected > PATIENCE:
            yield bars + html.took(f"{took}. To weigh its words would take about {expected:.0f} s: try a shorter text.")
            return
        yield bars + html.took(took) + html.note("Weighing each word …")
        yield bars + self._colours(text, top[0][0], took)

    def _verdict(self, answer: Any) -> str:
        """What the model says where that is not the likeliest label."""
        settings = self.model.settings
        if settings.multi_label:
            named = ", ".join(answer["prediction"])
            said = f"These apply: {named}." if named else "No label applies."
            return html.note(f"{said} Each is true or not by itself, from {html.percent(settings.threshold)} on.")
        if answer["prediction"] is None:
            return html.note(f"The model abstains: it answers from {html.percent(settings.min_confidence)} on.")
        return ""

    def _colours(self, text: str, label: str, took: str) -> str:
        outcome, seconds = self.explainer.one({"text": text, "label": label})
        if outcome.error is not None:
            return html.took(took) + html.note(f"Its words cannot be weighed: {app_ask.reason(outcome.error)}.")
        weights = [(token["start"], token["end"], token["weight"]) for token in outcome.answer["tokens"]]
        key = f"Green speaks for {label}, red and underlined against it; the deeper, the more."
        return html.weighed(coloured(text, weights), key) + html.took(f"{took}, words weighed in {seconds:.1f} s")


def build(model: TextClassifierModel) -> None:
    """Builds this part of the tab, with its networks loaded."""
    labeller = Labeller.of(model)
    app_ask.build(
        "labels",
        label="Text to label",
        button="Find the label",
        awaiting="Type or choose a text: here comes its label, and why.",
        cannot=CANNOT,
        max_chars=MAX_CHARS,
        examples=EXAMPLES,
        answer=labeller.answer,
    )
