"""The app's server: its own page only, no files, nothing fetched for anyone."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Page

from brightspark.apps.server import MAX_UPLOAD_BYTES
from tests.apps.visit import IMAGES

pytestmark = pytest.mark.slow


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
