"""The report is one page that loads nothing, shows what it was given, and cannot be written into by a name."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from brightspark.core import embed, report
from brightspark.core.errors import InputError
from brightspark.core.report import (
    Card,
    Figures,
    Gallery,
    KeyFigure,
    Note,
    Picture,
    Plot,
    Section,
    Sound,
    Table,
)

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\' style="x:y" {{ 7 * 7 }} &amp; $x_'


class Page(HTMLParser):
    """What the page holds: its elements, their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [
            given
            for name, given in self.elements
            if name == tag and all(given.get(key) == value for key, value in attributes.items())
        ]


def picture(width: int = 60, height: int = 40, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 80, 40)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def plot(label: str = "images/s") -> Figure:
    with report.plot_style():
        figure = Figure()
        axes = figure.subplots()
        axes.bar([label], [3])
    return figure


def everything(text: str) -> Section:
    """A section with every kind of block, and `text` wherever a text goes."""
    return Section(
        title=text,
        summary=text,
        blocks=[
            Figures([KeyFigure(text, text, text)]),
            Table([text], [[text]], caption=text),
            Plot(plot(text[:12] + "$x_$"), alt=text, caption=text),
            Picture(picture(), alt=text, caption=text),
            Gallery(
                [
                    Card(title=text, picture=picture(), answers=[(text, 0.9), ("other", 0.1)], truth=text),
                    Card(title=text, picture=b"broken", error=text),
                ],
                caption=text,
            ),
            Note(text),
            Sound(b"RIFF", caption=text, mime=text),
        ],
        licences={text: text},
        failure=text,
    )


def written(folder: Path, *sections: Section) -> Page:
    return Page(report.write(folder / "report.html", sections, title="Report", context={"Spark": "4.3.0"}))


def test_importing_the_report_loads_nothing_heavy() -> None:
    code = "import sys, brightspark.core.report; print({'jinja2', 'matplotlib', 'PIL'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    harmless, hostile = (
        Page(report.write(tmp_path / "report.html", [everything(text)], title=text, context={text: text}))
        for text in ("a name", HOSTILE)
    )
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    assert [sorted(given) for _, given in hostile.elements] == [sorted(given) for _, given in harmless.elements]
    assert hostile.text.count(HOSTILE) == harmless.text.count("a name") > 20


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = written(tmp_path, everything("a name"))
    addresses = [value or "" for _, given in page.elements for key, value in given.items() if key in ("src", "href")]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not page.all("link")
    assert not page.all("script")
    assert "url(" not in page.text
    assert "@import" not in page.text
    [policy] = [given["content"] for given in page.all("meta") if "http-equiv" in given]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_links_inside_the_page_lead_somewhere(tmp_path: Path) -> None:
    page = written(tmp_path, everything("one"), Section(title="two"))
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert len(set(ids)) == len(ids)
    assert {f"#{name}" for name in ids} >= {given["href"] for given in page.all("a")}
    assert [given["href"] for given in page.all("a")] == ["#section-1", "#section-2", "#licences"]


def test_every_picture_has_an_alternative_text(tmp_path: Path) -> None:
    page = written(tmp_path, everything("a name"))
    assert page.all("img")
    assert all(given.get("alt") for given in page.all("img"))
    assert page.all("div", role="img") == [{"class": "missing", "role": "img", "aria-label": "a name: no picture"}]


def test_a_card_tells_right_from_wrong_and_unknown() -> None:
    answers = [("cat", 0.7), ("dog", 0.2)]
    assert Card(title="a", answers=answers, truth="cat").right is True
    assert Card(title="a", answers=answers, truth="dog").right is False
    assert Card(title="a", answers=answers).right is None
    assert Card(title="a", truth="cat", error="cannot be read").right is None


def test_marks_and_bars_are_shown(tmp_path: Path) -> None:
    cards = [
        Card(title="1.jpg", answers=[("cat", 0.704), ("dog", 0.2)], truth="cat"),
        Card(title="2.jpg", answers=[("cat", 0.6)], truth="dog"),
        Card(title="3.jpg", error="cannot be read"),
    ]
    page = written(tmp_path, Section(title="Vision", blocks=[Gallery(cards)]))
    assert [given["class"] for given in page.all("p") if "mark" in (given.get("class") or "")] == [
        "mark right",
        "mark wrong",
        "mark wrong",
    ]
    assert [given["style"] for given in page.all("span") if "style" in given] == [
        "width: 70.4%",
        "width: 20.0%",
        "width: 60.0%",
    ]
    assert "70.4 %" in page.text
    assert "cannot be read" in page.text


def test_a_card_shows_the_texts_that_go_with_it(tmp_path: Path) -> None:
    card = Card(title="1", text="And God said", texts=[("word by word", "Et <Dieu> dit"), ("Hebrew", "ויאמר")])
    page = written(tmp_path, Section(title="Translation", blocks=[Gallery([card])]))
    assert "Et <Dieu> dit" in page.text
    assert [given["dir"] for given in page.all("dd") if "dir" in given] == ["auto", "auto"]


def test_columns_of_numbers_are_aligned_by_their_decimal_places(tmp_path: Path) -> None:
    rows = [["cat", 1234, 0.5, None], ["dog", 5, 0.98765, True]]
    path = report.write(
        tmp_path / "r.html",
        [Section(title="T", blocks=[Table(["label", "n", "F1", "seen"], rows)])],
        title="T",
        context={},
    )
    cells = re.findall(r"<td( class=\"number\")?>(.*?)</td>", path.read_text(encoding="utf-8"))
    assert [cell for _, cell in cells] == ["cat", "1,234", "0.5000", "–", "dog", "5", "0.9877", "yes"]
    assert [bool(number) for number, _ in cells] == [False, True, True, False] * 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12_345, "12,345"),
        (138.24, "138.2"),
        (54_321.9, "54,322"),
        (1e-7, "1e-07"),
        (float("nan"), "nan"),
        ("18 / 20",) * 2,
    ],
)
def test_numbers_read_well(value: float | str, shown: str) -> None:
    assert report._text(value) == shown


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"Row 1 of table 'Classes' has 1 cells, not 2\."):
        Table(["label", "n"], [["cat", 1], ["dog"]], caption="Classes")


def test_run_times_a_section_and_keeps_the_others_when_one_fails(tmp_path: Path) -> None:
    def fails() -> Section:
        raise ConnectionError("no registry\ncould be reached")

    good = report.run("Vision", lambda: Section(title="Vision, measured", summary="went well"))
    bad = report.run("Speech", fails)
    assert good.title == "Vision, measured"
    assert good.failure is None
    assert good.seconds is not None
    assert bad == Section(title="Speech", failure="ConnectionError: no registry could be reached", seconds=bad.seconds)
    text = written(tmp_path, good, bad).text
    assert "went well" in text
    assert "1 failed" in text
    assert "ConnectionError: no registry could be reached" in text


def test_a_section_that_cannot_be_shown_fails_alone(tmp_path: Path) -> None:
    sound = Sound(tmp_path / "none.wav", caption="a prompt")
    bad = report.run("Speech", lambda: Section(title="Speech", blocks=[sound]))
    assert bad.failure is not None
    assert bad.failure.startswith("FileNotFoundError")
    page = written(tmp_path, report.run("Vision", lambda: Section(title="Vision", summary="went well")), bad)
    assert "went well" in page.text
    assert "1 failed" in page.text


def test_licences_stand_at_the_end_with_their_section(tmp_path: Path) -> None:
    page = written(tmp_path, Section(title="Vision", licences={"weights 1.0": "Apache-2.0"}), Section(title="Speech"))
    assert re.search(r"weights 1\.0\s*Apache-2\.0\s*Vision\s*Made by", page.text)
    assert not written(tmp_path, Section(title="Speech")).all("section", id="licences")


def test_pictures_are_made_smaller_upright_and_lose_their_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010E] = "secret place"
    embedded = embed.picture(picture(400, 200, exif=exif.tobytes(), comment=b"secret place"), 100)
    assert embedded is not None
    assert (embedded.width, embedded.height) == (50, 100)
    content = base64.b64decode(embedded.uri.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(content)).size == (50, 100)
    assert b"secret" not in content


def test_small_drawings_stay_sharp_and_broken_pictures_are_none(tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.new("P", (32, 32)).save(small)
    embedded = embed.picture(small, 100)
    assert embedded is not None
    assert embedded.uri.startswith("data:image/png;base64,")
    assert (embedded.width, embedded.height) == (32, 32)
    assert embed.picture(picture()[:100], 100) is None
    assert embed.picture(b"<svg onload='alert(1)'/>", 100) is None
    assert embed.picture(tmp_path / "none.jpg", 100) is None


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert embed.plot(plot()) == embed.plot(plot())


def test_the_report_replaces_an_old_one_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    for title in ("first", "second"):
        assert report.write(path, [], title=title, context={}) == path
    assert "second" in Page(path).text
    assert list(path.parent.iterdir()) == [path]


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    path = report.write(tmp_path / "report.html", [], title="old", context={})
    missing = Section(title="Speech", blocks=[Sound(tmp_path / "none.wav", caption="a prompt")])
    with pytest.raises(FileNotFoundError):
        report.write(path, [missing], title="new", context={})
    assert "old" in Page(path).text
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder: name the report's file, such as .*report\.html"):
        report.write(tmp_path, [], title="T", context={})
