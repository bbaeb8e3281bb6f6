"""The app's tab on images: one at once, by the engine in this process; many, through Spark."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from brightspark import samples
from brightspark.apps import html
from brightspark.apps.engine import Engine
from brightspark.apps.options import Options
from brightspark.core.cli import sample_or_path
from brightspark.core.errors import StorageError
from brightspark.core.feed import Room
from brightspark.core.predictor import Work
from brightspark.vision import app_many
from brightspark.vision.model import ImageClassifierModel
from brightspark.vision.settings import ImageSettings
from brightspark.vision.sources import open_picture

TITLE = "Images"
MODEL = "samples:efficientnet-lite0"
TOP_K = 5
EXAMPLES = 10
PREVIEW_PIXELS, EXAMPLE_PIXELS = 640, 160  # the longer side
CANNOT = "This file cannot be classified"
EMPTY = html.note("Choose an image: here comes what is on it.")

# An artifact brings the columns of the tables that it was made for; the tab has its own.
OWN: dict[str, Any] = {
    "top_k": TOP_K, "input_col": None, "frame_col": None, "prediction_col": "prediction",
    "probability_col": "probability", "error_col": "error", "top_col": "top", "prediction_index_col": None,
    "probability_vector_col": None,
}  # fmt: skip


@dataclass(frozen=True)
class Classifier:
    """The model behind the tab: in this process for one image, on Spark for many."""

    model: ImageClassifierModel
    engine: Engine
    settings: ImageSettings

    @classmethod
    def load(cls, name: str) -> Classifier:
        """Loads a model, and has it answer once: the first answer takes longer than all others."""
        model = ImageClassifierModel.pretrained(sample_or_path(name), **OWN)
        engine = Engine(model.scorer())
        engine.one({"content": _jpeg(Image.new("RGB", (64, 64)))})
        return cls(model, engine, model.settings)

    def answer(self, content: bytes, name: str) -> str:
        """What is on an image, or what is wrong with the file, as HTML."""
        if not content:
            return html.problem(CANNOT, "The file is empty: it has 0 bytes.", file=name)
        outcome, seconds = self.engine.one({"content": content})
        if outcome.error is not None:
            return html.problem(CANNOT, reason(outcome.error), file=name)
        width, height, preview = self._preview(content)
        caption = f"{name} · {width} × {height} pixels · {html.size(len(content))}"
        top = [(entry["label"], float(entry["probability"])) for entry in outcome.answer["top"]]
        took = html.took(f"Answered in {1000 * seconds:,.0f} ms")
        return html.picture(preview, f"The image {name}", caption) + html.bars(top) + took

    def _preview(self, content: bytes) -> tuple[int, int, bytes]:
        """An image as the model got it, upright and in RGB; browsers show neither TIFF nor DICOM."""
        work = Work(_no_paths, Room(1 << 40))
        with open_picture({"content": content}, work, self.settings) as picture:
            image = picture.decode("RGB")
        width, height = image.size
        image.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS))
        return width, height, _jpeg(image)


def tab(options: Options) -> bool:
    """Builds the tab, with its model loaded: there always is one."""
    name = options.model or MODEL
    classifier = Classifier.load(name)
    short = name.removeprefix("samples:").rstrip("/").rpartition("/")[2]
    photographs = _photographs() if name.startswith("samples:") else None
    gr.HTML(
        html.heading(
            "What is on this image?",
            f"{short} chooses among {len(classifier.model.labels):,} labels. It runs on the "
            "machine that serves this page, and the image goes nowhere else.",
        )
    )
    _one(classifier, sorted(photographs.glob("*/*.jpg"))[:: 20 // EXAMPLES] if photographs else [])
    app_many.build(classifier.model, folder=options.folder, photographs=photographs)
    if photographs:
        gr.HTML(html.note(" · ".join(f"{what}: {licence}" for what, licence in _licences().items())))
    return True


def _one(classifier: Classifier, examples: list[Path]) -> None:
    """One image: chosen, dropped, pasted, from the camera or from the examples."""
    with gr.Row(elem_classes="bs-one"):
        with gr.Column(scale=5, min_width=280):
            chosen = gr.UploadButton("Choose an image", elem_id="image", elem_classes="bs-pick")
            with gr.Accordion("Use the camera", open=False, elem_id="camera"):
                camera = gr.Image(sources=["webcam"], type="filepath", image_mode=None, label="Camera", buttons=[])
            shown = html.choices([(path.parent.name, _small(path)) for path in examples], "Or try one of these")
            gallery = gr.HTML(shown, js_on_load=html.CHOOSE, elem_id="examples", visible=bool(examples))
        with gr.Column(scale=6, min_width=280):
            answer = gr.HTML(EMPTY, elem_id="answer", elem_classes="bs-answer")

    def of_file(path: str | None, name: str | None = None) -> Iterator[str]:
        if path is None:
            yield EMPTY
            return
        yield html.note("Looking at it …")
        yield classifier.answer(Path(path).read_bytes(), name or Path(path).name)

    def of_camera(path: str | None) -> Iterator[str]:
        yield from of_file(path, "From the camera")

    def of_example(event: gr.EventData) -> Iterator[str]:
        yield from of_file(str(examples[int(event.index)]))

    listen = partial(gr.on, show_progress="hidden", api_visibility="private")
    listen([chosen.upload], of_file, chosen, answer)
    listen([camera.input], of_camera, camera, answer)
    listen([gallery.click], of_example, None, answer)


def reason(error: str) -> str:
    """The engine's error in plain words.

    >>> reason("InputError: the image has 20000×20000 pixels, more than …")
    'the image has 20000×20000 pixels, more than …'
    >>> reason("InputError: Image size (900000000 pixels) exceeds limit of 178956970 pixels, could be …")
    'The image has too many pixels: 900,000,000 of them.'
    >>> reason("OSError: image file is truncated (3 bytes not processed)")
    'The file is damaged, or of a kind that cannot be decoded: image file is truncated (3 bytes not processed).'
    """
    kind, _, text = error.partition(": ")
    if kind != "InputError":
        return f"The file is damaged, or of a kind that cannot be decoded: {text or kind}."
    if text.startswith("this is no image"):
        return "This is no image, whatever its name says. JPEG, PNG, WebP, TIFF, GIF, BMP and DICOM can be read."
    bomb = re.match(r"Image size \((\d+) pixels\) exceeds", text)  # Pillow's words, where it stops by itself
    if bomb:
        return f"The image has too many pixels: {int(bomb[1]):,} of them."
    return text


def _photographs() -> Path | None:
    """The examples, where they are or can be fetched."""
    try:
        return samples.photographs()
    except StorageError as error:
        print(f"brightspark app: no example photographs: {error}", file=sys.stderr)  # noqa: T201
        return None


def _licences() -> dict[str, str]:
    return samples.licences("efficientnet-lite0", "foolbox")


def _small(path: Path) -> bytes:
    with Image.open(path) as image:
        image.thumbnail((EXAMPLE_PIXELS, EXAMPLE_PIXELS))
        return _jpeg(image.convert("RGB"))


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return file.getvalue()


def _no_paths(path: str, *, whole: bool = True) -> Any:
    raise StorageError(f"an uploaded image holds no path to open: {path}")
