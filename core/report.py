"""One self-contained HTML page that shows what ran: sections of figures, tables, plots, pictures and sound.

The page holds no script and no link to anything outside itself; every text in it is escaped.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from brightspark.core import embed
from brightspark.core.coloured import Weight, coloured
from brightspark.core.errors import InputError, one_line

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)

_PICTURE_PIXELS = 1280  # longest side of a picture in the page
_CARD_PIXELS = 512  # the same in a card, which is at most 260 CSS pixels wide on screens of double density

_PLOT_STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#6b7280",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.figsize": (5.0, 2.9),  # inches: small, so that its text can be read on a phone
    "figure.constrained_layout.use": True,
    "font.size": 11,  # points
    "grid.color": "#d1d5db",
    "text.color": "#1f2937",
    "text.parse_math": False,  # a label with a dollar sign is no formula
    "axes.labelcolor": "#374151",
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "ytick.left": False,
    "legend.frameon": False,
    "lines.linewidth": 2,
}


@dataclass(frozen=True)
class KeyFigure:
    """One number that matters."""

    value: str | float
    """The number; a string is shown as it stands."""
    unit: str
    """Its unit: "images/s", "%"; empty where it has none."""
    meaning: str
    """What it says, in a few words."""


@dataclass(frozen=True)
class Figures:
    """Key figures side by side."""

    figures: Sequence[KeyFigure]


@dataclass(frozen=True)
class Table:
    """Rows under named columns; columns of numbers are set flush right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(
                    f"Row {number} of table {self.caption!r} has {len(row)} cells, not {len(self.columns)}."
                )


@dataclass(frozen=True)
class Plot:
    """A matplotlib figure, drawn as SVG."""

    figure: Figure
    alt: str
    """What the plot shows, for who cannot see it."""
    caption: str = ""
    recolour: bool = True
    """Turn light to dark and back on a dark page; off for a plot that holds photographs."""


@dataclass(frozen=True)
class Picture:
    """A picture, display-ready: encoded bytes or a local file. It is made smaller and stripped of its metadata."""

    source: bytes | Path
    alt: str
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One record and what a model answers for it."""

    title: str
    """The record's name, such as its file's."""
    picture: bytes | Path | None = None
    """As in `Picture`; None where there is none to show."""
    text: str = ""
    """A record that is a text: shown whole, in the place of a picture and of the title."""
    weights: Sequence[Weight] = ()
    """Of a text: characters, from and to before, and what they add to the first answer; they are coloured by it."""
    texts: Sequence[tuple[str, str]] = ()
    """Other texts that go with it, such as a transcript and what was really said: what each is, and its words."""
    answers: Sequence[tuple[str, float]] = ()
    """Label and probability (0 to 1), best first."""
    truth: str | None = None
    """The true label, where it is known."""
    about: str = ""
    """What else is known of the record, in one line."""
    error: str | None = None
    """Why there is no answer."""

    @property
    def right(self) -> bool | None:
        """Whether the first answer is the truth; None where that cannot be told."""
        return None if self.truth is None or not self.answers else self.answers[0][0] == self.truth


@dataclass(frozen=True)
class Gallery:
    """Cards side by side."""

    cards: Sequence[Card]
    caption: str = ""


@dataclass(frozen=True)
class Heading:
    """Where a new part of a section begins."""

    text: str


@dataclass(frozen=True)
class Note:
    """A paragraph set apart: a caveat, or how to read what stands around it."""

    text: str


@dataclass(frozen=True)
class Sound:
    """A recording with a player: encoded bytes or a local file."""

    source: bytes | Path
    caption: str
    mime: str = "audio/wav"


Block: TypeAlias = Figures | Table | Plot | Picture | Gallery | Heading | Note | Sound


@dataclass(frozen=True, kw_only=True)
class Section:
    """What one part has to show."""

    title: str
    summary: str = ""
    """One or two sentences: what was done, and what came out."""
    blocks: Sequence[Block] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    """Data and weights shown here → their licence."""
    seconds: float | None = None
    """How long it took; `run` fills it in."""
    failure: str | None = None
    """The one-line reason why the section failed; `run` fills it in."""
    drawn: Markup | None = field(default=None, compare=False, repr=False)
    """The blocks as HTML; `run` fills it in, and `write` where it has not."""


def run(title: str, build: Callable[[], Section]) -> Section:
    """The section that `build` returns, with the seconds it took; where it cannot be made or shown, one that says why.

    >>> run("Vision", lambda: Section(title="Vision", summary=str(1 // 0))).failure
    'ZeroDivisionError: integer division or modulo by zero'
    """
    start = time.perf_counter()
    try:
        section = _drawn(build())  # what cannot be drawn or read is to fail here, alone
    except Exception as error:
        _log.debug("section %r failed", title, exc_info=True)
        section = Section(title=title, failure=one_line(error))
    return replace(section, seconds=time.perf_counter() - start)


def plot_style() -> AbstractContextManager[None]:
    """matplotlib's settings that go with the page, for the time of a `with` block.

    >>> from matplotlib.figure import Figure
    >>> with plot_style():
    ...     axes = Figure().subplots()
    >>> axes.spines["top"].get_visible()
    False
    """
    import matplotlib

    return matplotlib.rc_context(_PLOT_STYLE)


def write(path: str | Path, sections: Sequence[Section], *, title: str, context: Mapping[str, object]) -> Path:
    """Write the page to the local file `path`, beside and renamed into place.

    Args:
        path: the page's file; its folder is made where it is missing.
        sections: in the order in which they are shown.
        title: the page's heading.
        context: facts about the run: versions, machine, date.

    Raises:
        InputError: `path` is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{target} is a folder: name the report's file, such as {target / 'report.html'}")
    sections = [_drawn(section) for section in sections]
    licences = [(what, licence, section.title) for section in sections for what, licence in section.licences.items()]
    template = _environment().get_template("report.html.jinja")
    page = template.render(title=title, context=context, sections=sections, licences=licences)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        Path(beside).chmod(0o644)
        Path(beside).replace(target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return target


def _drawn(section: Section) -> Section:
    """The section with its blocks as HTML, drawn once."""
    if section.drawn is not None:
        return section
    macros: Any = _environment().get_template("report_blocks.html.jinja").module
    return replace(section, drawn=macros.blocks(section.blocks))


def _environment() -> Environment:
    """Jinja with escaping always on, missing names as errors, and what turns blocks into HTML's data."""
    import jinja2
    import markupsafe

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "kind": lambda block: type(block).__name__,
        "text": _text,
        "columns": _columns,
        "picture": lambda source: embed.picture(source, _PICTURE_PIXELS),
        "card_picture": lambda source: None if source is None else embed.picture(source, _CARD_PIXELS),
        "plot": embed.plot,
        "coloured": lambda text, weights: markupsafe.Markup(coloured(text, weights)),  # noqa: S704, it escapes
        "sound": lambda block: embed.sound(block.source, block.mime),
    }
    return environment


def _text(value: object) -> str:
    """A value as it is shown: thousands separated, four significant digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
    return str(value)


def _columns(table: Table) -> list[tuple[bool, list[str]]]:
    """Each column of the table: whether it holds nothing but numbers, and its cells as they are shown."""
    return [_column([row[index] for row in table.rows]) for index in range(len(table.columns))]


def _column(cells: list[object]) -> tuple[bool, list[str]]:
    """Numbers of one column get the same number of decimal places, so that they stand below each other."""
    numbers = [cell for cell in cells if isinstance(cell, int | float) and not isinstance(cell, bool)]
    texts = [_text(cell) for cell in cells]
    numeric = bool(numbers) and len(numbers) == sum(cell is not None for cell in cells)
    places = max((len(text.partition(".")[2]) for text in texts), default=0)
    if numeric and places and not any("e" in text or "n" in text for text in texts):  # 1e-07, nan, inf stay
        texts = [f"{cell:,.{places}f}" if isinstance(cell, int | float) else _text(cell) for cell in cells]
    return numeric, texts
