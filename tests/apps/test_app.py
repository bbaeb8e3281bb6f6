"""One image in the app as people use it: a real browser, the real engine."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, FileChooser, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from brightspark.apps.frame import build
from brightspark.apps.html import percent
from brightspark.apps.options import Options
from brightspark.apps.server import start
from tests.apps.visit import IMAGES, encoded, engine_says, every_control_has_a_name, fits, tab_to
from tests.vision.pictures import picture

pytestmark = pytest.mark.slow


def huge_png() -> bytes:
    """A header that promises 30,000 × 30,000 pixels."""
    small = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    small[16:24] = (30_000).to_bytes(4, "big") * 2
    small[29:33] = zlib.crc32(small[12:29]).to_bytes(4, "big")
    return bytes(small)


BROKEN = {
    "a text.jpg": (b"this is no photograph", "This is no image, whatever its name says"),
    "cut.jpg": (encoded(picture(1, (200, 200)), "JPEG")[:3_000], "The file is damaged"),
    "empty.jpg": (b"", "The file is empty"),
    "huge.png": (huge_png(), "too many pixels: 900,000,000"),
}


def upload(page: Page, content: bytes | Path, name: str = "", *, button: str = "Choose an image") -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=button).click()
    if isinstance(content, Path):
        chooser.value.set_files(content)
    else:
        chooser.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})


def shown(page: Page, name: str) -> list[tuple[str, str]]:
    """The labels and probabilities that the page shows for a file."""
    expect(page.locator("#answer figcaption")).to_contain_text(name)
    labels = page.locator("#answer .bs-label").all_inner_texts()
    shares = page.locator("#answer .bs-share").all_inner_texts()
    return list(zip(labels, shares, strict=True))


def as_shown(answers: Sequence[tuple[str, float]]) -> list[tuple[str, str]]:
    return [(label, percent(share)) for label, share in answers]


def test_an_uploaded_image_gets_the_engines_answer_for_its_very_bytes(page: Page, network: Path) -> None:
    expect(page.locator("#answer")).to_contain_text("Choose an image: here comes what is on it.")
    for name, content in IMAGES.items():
        upload(page, content, name)
        assert shown(page, name) == as_shown(engine_says(network, content))
    expect(page.locator("#answer img")).to_have_js_property("complete", True)


def test_a_turned_photograph_is_shown_upright(page: Page) -> None:
    upload(page, IMAGES["turned.jpg"], "turned.jpg")
    expect(page.locator("#answer figcaption")).to_contain_text("40 × 64 pixels")


def test_a_broken_file_gets_a_message_and_the_next_one_an_answer(page: Page, network: Path) -> None:
    problem = page.locator("#answer .bs-problem")
    for name, (content, message) in BROKEN.items():
        upload(page, content, name)
        expect(problem).to_contain_text(name)
        expect(problem).to_contain_text("This file cannot be classified")
        expect(problem).to_contain_text(message)
    upload(page, IMAGES["upright.jpg"], "upright.jpg")
    assert shown(page, "upright.jpg") == as_shown(engine_says(network, IMAGES["upright.jpg"]))


def test_the_same_file_twice_is_answered_twice(page: Page) -> None:
    for name in ("upright.jpg", "turned.jpg", "upright.jpg", "upright.jpg"):
        page.evaluate("document.querySelector('#answer figcaption')?.remove()")
        upload(page, IMAGES[name], name)
        assert shown(page, name)


GIVE = """([event, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], `${event}.jpg`));
  const data = { bubbles: true, cancelable: true };
  document.body.dispatchEvent(
    event === "paste"
      ? new ClipboardEvent(event, { ...data, clipboardData: transfer })
      : new DragEvent(event, { ...data, dataTransfer: transfer }),
  );
}"""


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_an_image_can_be_pasted_and_dropped(page: Page, network: Path, event: str) -> None:
    content = IMAGES["upright.jpg"]
    page.evaluate(GIVE, [event, list(content)])
    assert shown(page, f"{event}.jpg") == as_shown(engine_says(network, content))


def test_the_camera_is_asked(page: Page) -> None:
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#camera video')?.videoWidth > 0")
    page.get_by_role("button", name="capture photo").click()
    expect(page.locator("#answer figcaption")).to_contain_text("From the camera")
    expect(page.locator("#answer .bs-bars li")).to_have_count(5)


def test_the_keyboard_is_enough(page: Page, network: Path) -> None:
    chooser = press_until_asked_for_files(page, "Choose an image")
    chooser.set_files([{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": IMAGES["upright.jpg"]}])
    (best, _), *_ = engine_says(network, IMAGES["upright.jpg"])
    expect(page.locator(".bs-best")).to_contain_text(best)
    expect(page.get_by_role("status").filter(has_text=best)).to_have_count(1)  # what a screen reader says
    tab_to(page, "Classify")


def press_until_asked_for_files(page: Page, name: str) -> FileChooser:
    """A page draws its controls a moment before they answer: a person presses again."""
    for _ in range(20):
        tab_to(page, name)
        try:
            with page.expect_file_chooser(timeout=3_000) as chooser:
                page.keyboard.press("Enter")
        except PlaywrightTimeoutError:
            continue
        return chooser.value
    pytest.fail(f"{name!r} does not answer to the keyboard")


def test_every_control_has_a_name(page: Page) -> None:
    every_control_has_a_name(page, least=6)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(page: Page, folder: Path, scheme: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=scheme)
    assert fits(page)
    for name, content in {"a" * 120 + ".jpg": IMAGES["upright.jpg"], "a text.jpg": b"no photograph"}.items():
        upload(page, content, name)
        expect(page.locator("#answer")).to_contain_text(name)
        assert fits(page)


@pytest.mark.samples
def test_the_examples_are_classified(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # put back afterwards what `build` makes of it
    made = build(["vision"], Options(), uploads=str(tmp_path))
    address = start(made, host="127.0.0.1", port=None, warn=pytest.fail)
    page = browser.new_page()
    page.goto(address)
    examples = page.locator("#examples button")
    expect(examples).to_have_count(10)
    right = 0
    for example in examples.all():
        truth = example.get_attribute("aria-label")
        page.evaluate("document.querySelector('.bs-best')?.remove()")
        example.press("Enter")
        right += page.locator(".bs-best span").first.inner_text() == truth
    assert right >= 8
    expect(page.locator("body")).to_contain_text("Apache-2.0")
    page.close()
    made.close()
