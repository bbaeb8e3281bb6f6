"""What both parts of the app's tab on texts have in common: a text is typed or chosen, and answered step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from brightspark.apps import html
from brightspark.core.errors import BrightsparkError
from brightspark.nlp.tokens import checked

Answering = Callable[..., Iterator[str]]
"""Gets a text that can be read, and the values of further controls; yields HTML, the whole of it each time."""


def build(
    name: str,
    *,
    label: str,
    button: str,
    awaiting: str,
    cannot: str,
    max_chars: int,
    examples: Sequence[str],
    answer: Answering,
    controls: Callable[[], Sequence[gr.Dropdown]] = tuple,
) -> None:
    """Builds a part: a box for the text, further `controls`, a button, examples, and the place where answers appear.

    `label` names the box, `awaiting` stands there until there is an answer, `cannot` is the title of what goes wrong.
    """
    with gr.Row(elem_classes="bs-one"):
        with gr.Column(scale=5, min_width=280):
            text = gr.Textbox(
                label=label, info="Shift + Enter answers it as the button does", lines=5, max_lines=14,
                elem_id=f"{name}-text", elem_classes="bs-text",
            )  # fmt: skip
            more = list(controls())
            ask = gr.Button(button, variant="primary", elem_id=f"{name}-ask")
            shown = html.phrases(examples, "Or try one of these")
            gallery = gr.HTML(shown, js_on_load=html.CHOOSE, elem_id=f"{name}-examples",
                              elem_classes="bs-after", visible=bool(examples))  # fmt: skip
        with gr.Column(scale=6, min_width=280):
            said = gr.HTML(html.note(awaiting), elem_id=f"{name}-answer", elem_classes="bs-answer")

    def of_text(typed: str | None, *values: str | None) -> Iterator[str]:
        yield html.note("Reading it …")
        reason = problem(typed or "", max_chars)
        if reason:
            yield html.problem(cannot, reason)
            return
        try:
            yield from answer(checked(typed, max_chars), *values)
        except BrightsparkError as error:
            yield html.problem(cannot, str(error))

    def of_example(event: gr.EventData, *values: str | None) -> Iterator[tuple[Any, str]]:
        example: Any = examples[int(event.index)]
        for number, made in enumerate(of_text(example, *values)):
            yield gr.skip() if number else example, made  # the box is the visitor's again

    # Of several clicks while one is answered, the last one counts.
    listen = partial(gr.on, show_progress="hidden", api_visibility="private", trigger_mode="always_last")
    listen([ask.click, text.submit], of_text, [text, *more], said)
    listen([gallery.click], of_example, more, [text, said])


def problem(text: str, max_chars: int) -> str | None:
    """Why a text cannot be read, as a person would say it.

    >>> problem("  ", 100)
    'There is nothing to read: the text is empty.'
    >>> problem("word " * 100, 100)
    'The text has 500 characters, and this page reads at most 100. The command “brightspark nlp” reads longer ones.'
    >>> problem("word", 100)
    """
    if not text.strip():
        return "There is nothing to read: the text is empty."
    if len(text) > max_chars:
        return (
            f"The text has {len(text):,} characters, and this page reads at most {max_chars:,}. The command "
            "“brightspark nlp” reads longer ones."
        )
    return None


def reason(error: str) -> str:
    """The engine's error without the kind of it.

    >>> reason("InputError: the text is empty")
    'the text is empty'
    """
    return error.partition(": ")[2] or error
