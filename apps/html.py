"""What tabs show, as HTML: every text in it is escaped, every picture is in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

LONG_LABEL = 28  # characters that fit beside a probability in large letters


def heading(title: str, text: str) -> str:
    """The title of a part of a tab, and what it is for."""
    return f'<h2 class="bs-title">{escape(title)}</h2><p class="bs-lead">{escape(text)}</p>'


def note(text: str) -> str:
    """A quiet sentence: what is to come, what is being done."""
    return f'<p class="bs-note">{escape(text)}</p>'


def problem(title: str, reason: str, *, file: str = "") -> str:
    """What went wrong, and with which file."""
    reason = reason[:1].upper() + reason[1:]
    name = f'<p class="bs-file">{escape(file)}</p>' if file else ""
    return (
        f'<div class="bs-problem" data-say="{escape(title)}: {escape(reason)}">'
        f"<p><strong>{escape(title)}</strong></p><p>{escape(reason)}</p>{name}</div>"
    )


def bars(answers: Sequence[tuple[str, float]]) -> str:
    """Labels with their probabilities, the likeliest first and large."""
    best, share = answers[0]
    long = " bs-long" if len(best) > LONG_LABEL else ""
    rows = "".join(
        f'<li><span class="bs-label">{escape(label)}</span><span class="bs-share">{percent(part)}</span>'
        f'<span class="bs-track" aria-hidden="true"><span style="width:{100 * part:.1f}%"></span></span></li>'
        for label, part in answers
    )
    return (
        f'<p class="bs-best{long}" data-say="{escape(best)}, {percent(share)}"><span>{escape(best)}</span> '
        f'<span class="bs-sure">{percent(share)}</span></p><ol class="bs-bars">{rows}</ol>'
    )


def percent(share: float) -> str:
    """A share as people read it.

    >>> percent(0.634), percent(0.00004), percent(1.0)
    ('63.4 %', '< 0.1 %', '100.0 %')
    """
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def picture(jpeg: bytes, alt: str, caption: str = "") -> str:
    """A picture that is part of the page."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="bs-figure"><img src="{_data(jpeg)}" alt="{escape(alt)}">{words}</figure>'


def choices(pictures: Sequence[tuple[str, bytes]], title: str) -> str:
    """Pictures to choose from, each a button."""
    buttons = "".join(
        f'<li><button type="button" class="bs-choice" aria-label="{escape(name)}" title="{escape(name)}">'
        f'<img src="{_data(jpeg)}" alt=""></button></li>'
        for name, jpeg in pictures
    )
    return f'<p class="bs-caption">{escape(title)}</p><ul class="bs-choices">{buttons}</ul>'


def phrases(texts: Sequence[str], title: str) -> str:
    """Texts to choose from, each a button."""
    buttons = "".join(
        f'<li><button type="button" class="bs-phrase" dir="auto">{escape(text)}</button></li>' for text in texts
    )
    return f'<p class="bs-caption">{escape(title)}</p><ul class="bs-phrases">{buttons}</ul>'


# Tells Gradio which of the `choices` or `phrases` was pressed: the event's `index`.
CHOOSE = """element.addEventListener("click", (event) => {
  const buttons = [...element.querySelectorAll("button")];
  const index = buttons.indexOf(event.target.closest("button"));
  if (index >= 0) trigger("click", { index });
})"""


def said(text: str, *, nothing: str) -> str:
    """A text that is an answer, in its own direction of writing; `nothing` says that it is empty."""
    if not text.strip():
        return f'<div data-say="{escape(nothing)}">{note(nothing)}</div>'
    return f'<p class="bs-said" dir="auto" data-say="{escape(text)}">{escape(text)}</p>'


def weighed(markup: str, key: str) -> str:
    """A text that `brightspark.core.coloured` coloured, and what its colours mean."""
    return f'<p class="bs-weighed" dir="auto">{markup}</p><p class="bs-key">{escape(key)}</p>'


def took(text: str) -> str:
    """How long an answer took."""
    return f'<p class="bs-took">{escape(text)}</p>'


def progress(done: int, total: int | None, text: str) -> str:
    """A bar, moving to and fro while it is not known how much there is, and what is being done."""
    value = "" if total is None else f' value="{done}" max="{total}"'
    return f'<div class="bs-progress"><progress aria-label="Progress"{value}></progress><p>{escape(text)}</p></div>'


def figures(numbers: Mapping[str, str]) -> str:
    """Numbers with what they mean."""
    shown = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in numbers.items())
    return f'<dl class="bs-figures">{shown}</dl>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str) -> str:
    """A table; at a phone's width each row is a card that repeats the columns' names."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{escape(name)}">{escape(value)}</td>' for name, value in zip(columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="bs-scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table class="bs-table">'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def size(nbytes: int) -> str:
    """A file's size as people read it.

    >>> size(900), size(84_500), size(3_400_000)
    ('900 bytes', '84 kB', '3.4 MB')
    """
    if nbytes < 1_000:
        return f"{nbytes} bytes"
    return f"{nbytes / 1e3:.0f} kB" if nbytes < 1e6 else f"{nbytes / 1e6:.1f} MB"


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
