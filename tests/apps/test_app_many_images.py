"""Many images in the app as people use it: a real browser, the real engine, a real Spark session."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.apps.visit import engine_says, fits

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow


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
