"""The part of the app's tab on images that sends many of them through Spark, with a bar that moves."""

from __future__ import annotations

import csv
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from brightspark.apps import html
from brightspark.apps.job import Files, Job, files_below, sent_files
from brightspark.core.cli import worker_error
from brightspark.core.errors import BrightsparkError, InputError
from brightspark.core.interrupt import Jobs
from brightspark.core.session import launched, session
from brightspark.core.storage import Storage, absolute, list_folder
from brightspark.vision.model import ImageClassifierModel
from brightspark.vision.read import SUFFIXES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

PHOTOGRAPHS, UPLOADS, FOLDER = "The example photographs", "Files of this computer", "A folder on the server"
COLUMNS = ("File", "Prediction", "Probability", "Error")
SHOWN_ROWS = 500
JOBS = 4  # at the same time; who comes later waits

Update = dict[Any, Any]


class Many:
    """The jobs that the page's visitors have running, and what each of them looks at."""

    def __init__(self, model: ImageClassifierModel, *, folder: str | None, photographs: Path | None) -> None:
        """Raises StorageError for a folder that is not there, as far as this process can see where Spark runs."""
        self.model = model
        self.folder = absolute(folder).rstrip("/") or "/" if folder else None
        if self.folder and not launched():
            list_folder(Storage(), self.folder)
        self.photographs = photographs
        self._jobs: dict[str, Job] = {}
        self._spark: SparkSession | None = None
        self._starting = threading.Lock()

    @property
    def sources(self) -> list[str]:
        """Where images can come from here."""
        offered = [(PHOTOGRAPHS, self.photographs), (UPLOADS, True), (FOLDER, self.folder)]
        return [name for name, there in offered if there]

    def job(self, visitor: str, source: str, uploads: list[str], folder: str) -> tuple[Job, str]:
        """A job over a source's images, and the folder that their names are shown below.

        Raises InputError where there are none, and StorageError for a folder that is not offered.
        """
        if source not in self.sources:
            raise InputError(f"{source!r} is not offered here")
        jobs = Jobs(self._session())
        if source == UPLOADS:
            if not uploads:
                raise InputError("no files are chosen yet")
            base, files = None, sent_files(uploads)
        else:
            base = str(self.photographs) if source == PHOTOGRAPHS else str(self.folder)
            below = folder.strip().lstrip("/") if source == FOLDER else ""
            with jobs.running() as spark:
                files = files_below(spark, f"{base}/{below}".rstrip("/"), base=base, suffixes=SUFFIXES)
        job = self._jobs[visitor] = Job(jobs, files, self._scoring(base))
        return job, base or ""

    def _session(self) -> SparkSession:
        """The same session for all. The active one may be another visitor's own, which is interrupted as a whole."""
        with self._starting:
            if self._spark is None:
                self._spark = session("brightspark app")
            return self._spark

    def cancel(self, visitor: str) -> None:
        """Ends a visitor's own job, if there is one."""
        job = self._jobs.get(visitor)
        if job is not None:
            job.cancel()

    def forget(self, visitor: str) -> None:
        """A visitor's job is over."""
        self._jobs.pop(visitor, None)

    def _scoring(self, base: str | None) -> Any:
        from pyspark.sql import functions as F

        # Workers refuse any path outside of the base once more, after links are resolved.
        model = self.model if base is None else self.model.copy({self.model.getParam("base"): base})

        def score(table: DataFrame) -> DataFrame:
            likeliest = F.array_max("probability").alias("probability")
            scored: DataFrame = model.transform(table).select("position", "prediction", likeliest, "error")
            return scored

        return score


@dataclass(frozen=True)
class Controls:
    """What the visitor sees and uses."""

    source: gr.Radio
    uploading: gr.Column
    chosen: gr.UploadButton
    count: gr.HTML
    below: gr.Textbox
    start: gr.Button
    stop: gr.Button
    bar: gr.HTML
    result: gr.HTML
    download: gr.DownloadButton


def build(model: ImageClassifierModel, *, folder: str | None, photographs: Path | None) -> None:
    """Builds this part of the tab."""
    many = Many(model, folder=folder, photographs=photographs)
    with gr.Column(elem_classes="bs-many", elem_id="many"):
        gr.HTML(
            html.heading(
                "Many images, on Spark",
                "The same model over many files at once. One that cannot be read keeps its row, and says why. "
                "The first run takes longer: Spark and its workers start.",
            )
        )
        controls = _controls(many)
    _listen(many, controls)


def _controls(many: Many) -> Controls:
    first = many.sources[0]
    source = gr.Radio(many.sources, value=first, label="Which images", visible=len(many.sources) > 1)
    with gr.Column(visible=first == UPLOADS) as uploading:
        chosen = gr.UploadButton("Choose images", file_count="multiple", elem_id="images", elem_classes="bs-pick")
        count = gr.HTML(html.note("No files are chosen yet."))
    below = gr.Textbox(label=f"Folder below {many.folder}", placeholder="Nothing for all of it", visible=False)
    with gr.Row():
        start = gr.Button("Classify", variant="primary", elem_id="classify")
        stop = gr.Button("Cancel", interactive=False, elem_id="cancel")
    return Controls(
        source=source,
        uploading=uploading,
        chosen=chosen,
        count=count,
        below=below,
        start=start,
        stop=stop,
        bar=gr.HTML(elem_id="progress"),
        result=gr.HTML(elem_id="result"),
        download=gr.DownloadButton("Download as CSV", visible=False, elem_id="download"),
    )


def _listen(many: Many, controls: Controls) -> None:
    """Says what each control does."""

    def show(wanted: str) -> Update:
        uploads, folder = wanted == UPLOADS, wanted == FOLDER
        return {controls.uploading: gr.update(visible=uploads), controls.below: gr.update(visible=folder)}

    def tell(paths: list[str] | None) -> str:
        nbytes = sum(Path(path).stat().st_size for path in paths or ())
        return html.note(f"{len(paths or ()):,} files are chosen, {html.size(nbytes)}.")

    def classify(wanted: str, paths: list[str] | None, text: str | None, request: gr.Request) -> Iterator[Update]:
        yield from _classified(many, controls, str(request.session_hash), wanted, paths or [], text or "")

    def cancel(request: gr.Request) -> None:
        many.cancel(str(request.session_hash))

    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    controls.source.change(show, controls.source, [controls.uploading, controls.below], **hidden)
    controls.chosen.upload(tell, controls.chosen, controls.count, **hidden)
    controls.start.click(
        classify,
        [controls.source, controls.chosen, controls.below],
        [controls.start, controls.stop, controls.bar, controls.result, controls.download],
        concurrency_limit=JOBS,
        **hidden,
    )
    controls.stop.click(cancel, None, None, queue=False, **hidden)


def _classified(
    many: Many, controls: Controls, visitor: str, source: str, uploads: list[str], folder: str
) -> Iterator[Update]:
    """A job from the press of the button to its table, as updates of the page."""
    yield {
        controls.start: gr.update(interactive=False),
        controls.bar: html.progress(0, None, "Starting Spark, and looking for images …"),
        controls.result: "",
        controls.download: gr.update(visible=False),
    }
    end = {controls.start: gr.update(interactive=True), controls.stop: gr.update(interactive=False)}
    try:
        job, base = many.job(visitor, source, uploads, folder)
        rows: list[Row] = []
        yield {controls.stop: gr.update(interactive=True), controls.bar: _bar(job, rows)}
        began = time.perf_counter()
        for part in job.run():
            rows += part
            yield {controls.bar: _bar(job, rows)}
        seconds = time.perf_counter() - began
        answers = [_shown(row, job.files, base) for row in rows]
        with tempfile.TemporaryDirectory() as made:  # Gradio copies the file while this waits
            file = gr.update(value=_csv(Path(made), answers), visible=bool(rows))
            shown = {controls.result: _result(answers, seconds), controls.download: file}
            yield {controls.bar: _bar(job, rows), **shown, **end}
    except Exception as error:
        reason = str(error) if isinstance(error, BrightsparkError) else worker_error(error)
        yield {controls.bar: "", controls.result: html.problem("The images cannot be classified", reason), **end}
    finally:
        many.forget(visitor)


def _bar(job: Job, rows: list[Row]) -> str:
    """How far a job is."""
    total = len(job.files.paths)
    errors = sum(row["error"] is not None for row in rows)
    text = f"{job.done:,} of {total:,} images, {errors:,} errors"
    if job.cancelled:
        text = f"Cancelled: {text}"
    elif not rows:
        text = f"{text}: Spark's workers load the model …"
    return html.progress(job.done, total, text)


def _shown(row: Row, files: Files, base: str) -> tuple[str, str, str, str]:
    """A row as people and CSV get it: file, prediction, probability, error."""
    path = files.paths[row["position"]]
    name = path.removeprefix(f"{base.rstrip('/')}/") if base else Path(path).name
    probability = "" if row["probability"] is None else f"{row['probability']:.4f}"
    return name, row["prediction"] or "", probability, row["error"] or ""


def _result(answers: list[tuple[str, str, str, str]], seconds: float) -> str:
    """The numbers of a job, and the first of its rows."""
    errors = sum(bool(error) for *_, error in answers)
    numbers = {
        "Images": f"{len(answers):,}",
        "Errors": f"{errors:,}",
        "Seconds": f"{seconds:.1f}",
        "Images a second": f"{len(answers) / seconds:,.1f}",
    }
    caption = "Answers" if len(answers) <= SHOWN_ROWS else f"The first {SHOWN_ROWS} answers; the CSV has all"
    return html.figures(numbers) + html.table(COLUMNS, answers[:SHOWN_ROWS], caption=caption)


def _csv(folder: Path, answers: list[tuple[str, str, str, str]]) -> str:
    """The answers as a CSV file with a header."""
    path = folder / "answers.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([tuple(name.lower() for name in COLUMNS), *answers])
    return str(path)
