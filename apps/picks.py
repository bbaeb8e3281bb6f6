"""Things to pick from, as HTML: what a search finds, what is chosen, a list in order. Each button carries a key.

Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from brightspark.apps.html import note

MOST_CHARS = 160  # of a name that is shown

# Tells Gradio the key of the button that was pressed: the event's `pick`.
PICK = """element.addEventListener("click", (event) => {
  const pick = event.target.closest("button[data-pick]")?.dataset.pick;
  if (pick !== undefined) trigger("click", { pick });
})"""


def found(names: Sequence[tuple[str, str]], total: int, typed: str) -> str:
    """What a search has found: keys and names, each a button, and how many more there are."""
    if not typed.strip():
        return ""
    if not names:
        return f'<div data-say="Nothing found">{note("Nothing has that in its name.")}</div>'
    more = note(f"… and {total - len(names):,} more: type on.") if total > len(names) else ""
    buttons = "".join(
        f'<li><button type="button" class="bs-phrase" data-pick="{escape(key)}" dir="auto">{_short(name)}</button></li>'
        for key, name in names
    )
    return f'<ul class="bs-phrases bs-found" data-say="{total:,} found">{buttons}</ul>{more}'


def chips(names: Sequence[tuple[str, str]], title: str) -> str:
    """What is chosen: keys and names, each with a button that takes it away."""
    if not names:
        return ""
    shown = "".join(
        f'<li><span dir="auto">{_short(name)}</span><button type="button" data-pick="{escape(key)}" '
        f'aria-label="Remove {_short(name)}" title="Remove">×</button></li>'
        for key, name in names
    )
    return f'<p class="bs-caption">{escape(title)}</p><ul class="bs-chips">{shown}</ul>'


def ranked(rows: Sequence[tuple[str, str, str | None, float]], *, title: str, deeds: Sequence[tuple[str, str]]) -> str:
    """A list in its order: keys, names, reasons, and the share of a bar.

    Below each row there is a button for each of the `deeds`, (key, words); the button's key is the deed's, a colon and
    the row's.
    """
    items = "".join(
        f'<li><span class="bs-label" dir="auto">{_short(name)}</span><span class="bs-share">{whole(share)}</span>'
        f"{_reason(reason)}"
        f'<span class="bs-track" aria-hidden="true"><span style="width:{100 * share:.1f}%"></span></span>'
        f'<span class="bs-deeds">{_buttons(key, name, deeds)}</span></li>'
        for key, name, reason, share in rows
    )
    said = f"{title}: {', '.join(name[:MOST_CHARS] for _, name, _, _ in rows)}"
    return (
        f'<p class="bs-heard" data-say="{escape(said)}">{escape(title)}</p><ol class="bs-bars bs-ranked">{items}</ol>'
    )


def whole(share: float) -> str:
    """A share in whole percents.

    >>> whole(0.634), whole(0.004), whole(0.0)
    ('63 %', '< 1 %', '0 %')
    """
    return "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _reason(reason: str | None) -> str:
    return f'<span class="bs-reason" dir="auto">{escape(reason[: 3 * MOST_CHARS])}</span>' if reason else ""


def _buttons(key: str, name: str, deeds: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f'<button type="button" data-pick="{escape(deed)}:{escape(key)}" '
        f'aria-label="{escape(words)}: {_short(name)}">{escape(words)}</button>'
        for deed, words in deeds
    )


def _short(name: str) -> str:
    return escape(name if len(name) <= MOST_CHARS else f"{name[: MOST_CHARS - 1]}…")
