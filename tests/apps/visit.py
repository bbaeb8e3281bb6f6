"""What visitors of the app bring and expect: image files, the engine's own answers, a page that fits."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page
from pydicom.data import get_testdata_file

from brightspark.core.score import Scorer
from brightspark.vision import ImageClassifierModel
from tests.vision.pictures import picture


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn right
    return encoded(picture(4, (64, 40)), "JPEG", exif=exif)


IMAGES = {
    "upright.jpg": encoded(picture(1), "JPEG", quality=90),
    "turned.jpg": rotated(),
    "print.jpg": encoded(picture(2, mode="CMYK"), "JPEG"),
    "clear.png": encoded(picture(3, mode="RGBA"), "PNG"),
    "scan.tif": encoded(picture(5), "TIFF"),
    "moving.gif": encoded(picture(6, mode="P"), "GIF"),
    "slice.dcm": Path(str(get_testdata_file("CT_small.dcm", download=False))).read_bytes(),
    "wrong name.txt": encoded(picture(7), "WEBP", lossless=True),
}


@cache
def plain_engine(network: Path) -> Scorer:
    return ImageClassifierModel.pretrained(str(network), top_k=5).scorer()


def engine_says(network: Path, content: bytes) -> list[tuple[str, float]]:
    outcome = plain_engine(network).one({"content": content})
    assert outcome.error is None
    return [(entry["label"], entry["probability"]) for entry in outcome.answer["top"]]


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until a control that says `name` has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText?.trim()") == name:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", "the focus cannot be seen"
            return
    pytest.fail(f"no Tab leads to {name!r}")


def every_control_has_a_name(page: Page, *, least: int) -> None:
    """Fails for a control that a screen reader has no name for, or fewer than `least` of them."""
    controls = page.locator(":is(button, input, textarea, [tabindex='0']):not([tabindex='-1']):visible").all()
    assert len(controls) >= least
    for control in controls:
        assert control.aria_snapshot().partition('"')[2], control.evaluate("element => element.outerHTML")[:300]
