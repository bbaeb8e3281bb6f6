"""The app as people use it: a real browser, the real engine, a real Spark session."""

from __future__ import annotations

import csv
import http.client
import io
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, FileChooser, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from pydicom.data import get_testdata_file

from brightspark.apps.frame import build
from brightspark.apps.html import percent
from brightspark.apps.options import Options
from brightspark.apps.server import MAX_UPLOAD_BYTES, start
from brightspark.core.score import Scorer
from brightspark.vision import ImageClassifierModel
from tests.vision.pictures import picture

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow


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


@cache
def plain_engine(network: Path) -> Scorer:
    return ImageClassifierModel.pretrained(str(network), top_k=5).scorer()


def engine_says(network: Path, content: bytes) -> list[tuple[str, float]]:
    outcome = plain_engine(network).one({"content": content})
    assert outcome.error is None
    return [(entry["label"], entry["probability"]) for entry in outcome.answer["top"]]


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


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


# One image


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


def tab_to(page: Page, name: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText?.trim()") == name:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", "the focus cannot be seen"
            return
    pytest.fail(f"no Tab leads to {name!r}")


def test_every_control_has_a_name(page: Page) -> None:
    controls = page.locator(":is(button, input, textarea, [tabindex='0']):not([tabindex='-1']):visible").all()
    assert len(controls) >= 6
    for control in controls:
        assert control.aria_snapshot().partition('"')[2], control.evaluate("element => element.outerHTML")[:300]


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


# Many images


WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const bar = document.querySelector("#progress progress");
    if (bar?.hasAttribute("value")) window.seen.push([Number(bar.value), Number(bar.max)]);
  }).observe(document.body, { childList: true, subtree: true, attributes: true });
}"""


def choose_folder(page: Page, name: str) -> None:
    page.get_by_label("A folder on the server").check()
    page.get_by_label("Folder below").fill(name)


def test_a_folder_goes_through_spark_with_a_bar_that_reaches_its_end(
    spark: SparkSession, page: Page, network: Path, folder: Path
) -> None:
    files = sorted((folder / "trip").iterdir())
    page.evaluate(WATCH)
    page.set_viewport_size({"width": 390, "height": 844})
    choose_folder(page, "trip")
    page.get_by_role("button", name="Classify").click()
    table = page.locator("#result .bs-table")
    table.wait_for()
    seen = page.evaluate("window.seen")
    done = [value for value, _ in seen]
    assert {most for _, most in seen} == {len(files)}
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(files))
    assert len(set(done)) >= 5
    assert fits(page)
    expect(page.locator("#progress")).to_contain_text("20 of 20 images, 1 errors")
    expect(page.locator("#result .bs-figures")).to_contain_text("Images a second")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [row["file"] for row in rows] == [f"trip/{file.name}" for file in files]
    for row, file in zip(rows, files, strict=True):
        if file.name == "broken.jpg":
            assert (row["prediction"], row["probability"]) == ("", "")
            assert "this is no image" in row["error"]
        else:
            (label, share), *_ = engine_says(network, file.read_bytes())
            assert (row["prediction"], row["error"]) == (label, "")
            assert float(row["probability"]) == pytest.approx(share, abs=0.02)
    expect(table.locator("tbody tr")).to_have_count(len(files))
    expect(table.get_by_text("this is no image")).to_have_count(1)


def test_uploaded_files_go_through_spark_with_their_bytes(spark: SparkSession, page: Page, folder: Path) -> None:
    page.get_by_label("Files of this computer").check()
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#result")).to_contain_text("No files are chosen yet")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files([folder / "trip" / name for name in ("0001.jpg", "broken.jpg", "0000.jpg")])
    expect(page.locator("#many")).to_contain_text("3 files are chosen")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#progress")).to_contain_text("3 of 3 images, 1 errors")
    expect(page.locator("#result tbody tr")).to_have_count(3)
    assert sorted(page.locator("#result td[data-name=File]").all_inner_texts()) == [
        "0000.jpg", "0001.jpg", "broken.jpg"
    ]  # fmt: skip


def test_a_job_can_be_cancelled_and_another_one_started(spark: SparkSession, page: Page) -> None:
    choose_folder(page, "trip")
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="Cancel").click()  # waits until there is something to cancel
    expect(page.locator("#progress")).to_contain_text("Cancelled")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#progress")).to_contain_text("20 of 20 images")


OUTSIDE = {
    "../secret": "is outside",
    "trip/../../secret": "is outside",
    "gone": "here is no folder",
    "/etc": "here is no folder",
}


def test_only_folders_below_the_base_are_read(spark: SparkSession, page: Page) -> None:
    for name, reason in OUTSIDE.items():
        choose_folder(page, name)
        page.get_by_role("button", name="Classify").click()
        expect(page.locator("#result .bs-problem")).to_contain_text(reason)
        expect(page.get_by_role("button", name="Classify")).to_be_enabled()
        page.evaluate("document.querySelector('#result .bs-problem').remove()")


# The server


def ask(address: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request("GET", path, headers=headers)
    return connection.getresponse().status


def test_it_answers_its_own_page_only(address: str) -> None:
    own = urlsplit(address).netloc
    assert ask(address, "/") == 200
    assert ask(address, "/", Origin=f"http://{own}") == 200
    assert ask(address, "/", Host="elsewhere.example") == 403
    assert ask(address, "/", Origin="http://elsewhere.example") == 403
    assert ask(address, "/", Origin="null") == 403
    for site in ("cross-site", "same-site"):  # what a picture on a page elsewhere sends: no Origin
        elsewhere = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert ask(address, "/", **elsewhere) == 403
        assert ask(address, "/config", **elsewhere) == 403
        assert ask(address, "/config", **{**elsewhere, "Sec-Fetch-Mode": "navigate"}) == 403
        assert ask(address, "/", **{**elsewhere, "Sec-Fetch-Mode": "navigate"}) == 200  # a link that leads here


def test_it_gives_out_no_files(address: str, folder: Path, network: Path) -> None:
    for path in ("/etc/passwd", str(Path("pyproject.toml").resolve()), folder / "trip" / "0000.jpg",
                 network / "config.json"):  # fmt: skip
        assert ask(address, f"/gradio_api/file={quote(str(path))}") in (403, 404), path


ASK_FOR_PATH = """async (path) => {
  const post = { method: "POST", headers: { "content-type": "application/json" } };
  const file = { path, meta: { _type: "gradio.FileData" } };
  const button = window.gradio_config.components.find((part) => part.props.elem_id === "image");
  const event = window.gradio_config.dependencies.find((one) => one.inputs.includes(button.id));
  const body = { data: [file], fn_index: event.id, session_hash: "forged", trigger_id: button.id };
  await fetch("gradio_api/queue/join", { ...post, body: JSON.stringify(body) });
  return (await fetch("gradio_api/queue/data?session_hash=forged")).text();
}"""


UPLOAD = """async (bytes) => {
  const form = new FormData();
  form.append("files", new Blob([new Uint8Array(bytes)]), "a.jpg");
  const answer = await fetch("gradio_api/upload", { method: "POST", body: form });
  return answer.ok ? (await answer.json())[0] : answer.status;
}"""


def test_a_forged_upload_reads_no_other_file(page: Page, folder: Path) -> None:
    uploaded = page.evaluate(UPLOAD, list(IMAGES["upright.jpg"]))
    assert "data:image" in page.evaluate(ASK_FOR_PATH, uploaded)
    for path in (folder / "trip" / "0000.jpg", "/etc/passwd"):
        said = page.evaluate(ASK_FOR_PATH, str(path))
        assert '"success":false' in said
        assert "data:image" not in said


def test_it_fetches_nothing_for_anyone(page: Page, address: str) -> None:
    """What this process looked up, the fixture `page` knows."""
    url = "https://elsewhere.example/a.jpg"
    for path in (f"/gradio_api/file={url}", f"/file={url}", f"/gradio_api/file={quote(url, safe='')}",
                 f"/gradio_api/proxy={url}"):  # fmt: skip
        assert ask(address, path) == 403, path
    assert "fetches nothing from elsewhere" in page.evaluate(ASK_FOR_PATH, url)


def test_a_file_that_is_too_large_is_refused(page: Page) -> None:
    large = UPLOAD.replace("new Uint8Array(bytes)", "new Uint8Array(bytes[0])")
    assert page.evaluate(large, [MAX_UPLOAD_BYTES + 1]) == 413


def test_the_page_cannot_reach_another_server(page: Page) -> None:
    reached = page.evaluate(
        """() => new Promise((done) => {
          addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
          fetch("http://192.0.2.1/").then(() => done("reached"), () => setTimeout(done, 3000, "tried"));
        })"""
    )
    assert reached == "connect-src"
