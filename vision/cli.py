"""The commands of image classification: `brightspark vision …`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from brightspark.core import commands
from brightspark.core.cli import (
    FormatOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    sample_or_path,
    start_session,
    write_answers,
)

app = typer.Typer(help="Image classification, for any timm model.", no_args_is_help=True)


@app.command()
def fit(
    images: Annotated[str, typer.Argument(help="A folder of images in their labels' folders, or a table with labels.")],
    model: Annotated[
        str, typer.Option(help="Where to start: a timm or hub name, a folder, an artifact, samples:NAME.")
    ],
    out: Annotated[str, typer.Option(help="Where the artifact goes: a folder, or a URI.")],
    format: FormatOption = None,
    label: Annotated[str, typer.Option(help="The column of the label, or of an array of labels.")] = "label",
    group: Annotated[
        str | None, typer.Option(help="A column of what must not stand on both sides: a patient, a camera.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="How often each image is seen.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Images in a step, over all ranks.")] = 64,
    ranks: Annotated[int, typer.Option(help="Processes that train together, on slots of their own.")] = 1,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE for any other setting of ImageClassifier; may be given again."),
    ] = None,
    run_folder: Annotated[
        str | None, typer.Option(help="Where the training lies meanwhile; by default OUT.training, deleted at the end.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a network on labelled images. The same command goes on where it was stopped or killed."""
    from brightspark.vision import ImageClassifier, read_images

    named = {"label_col": label, "group_col": group, "epochs": epochs, "batch_size": batch_size, "ranks": ranks}
    commands.fit(
        ImageClassifier,
        {**named, "network": sample_or_path(model), "run_folder": run_folder},
        setting,
        source=images,
        read=partial(read_images, format=format),
        out=out,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def score(
    model: Annotated[str, typer.Argument(help="An artifact, a folder, a timm or hub name, or samples:NAME.")],
    images: Annotated[str, typer.Argument(help="A folder of images, or a table of paths or bytes.")],
    out: OutOption,
    format: FormatOption = None,
    top_k: Annotated[int, typer.Option(help="Add the likeliest labels.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images in a batch.")] = 32,
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    quarantine: Annotated[str | None, typer.Option(help="Write failed rows here, and only good ones to --out.")] = None,
    max_error_rate: Annotated[
        float | None,
        typer.Option(help=f"With --quarantine: fail above this share of errors; by default {commands.ERROR_RATE}."),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Classify images: every row of INPUT comes back with a prediction and probabilities, or an error."""
    from brightspark.vision import ImageClassifierModel, read_images

    settings = {"top_k": top_k, "batch_size": batch_size, "precision": precision}
    rows = commands.score(
        lambda: ImageClassifierModel.pretrained(sample_or_path(model), **settings),
        source=images,
        read=partial(read_images, format=format),
        out=out,
        quarantine=quarantine,
        max_error_rate=max_error_rate,
        overwrite=overwrite,
        as_json=as_json,
    )
    _hint(rows, images)


def _hint(rows: int, images: str) -> None:
    """An empty folder is no error, but may be a folder of something else."""
    if not rows:
        typer.echo(
            f"no image was found in {images}. Videos, and DICOM files without an ending, are listed by read_video and "
            "read_dicom in Python",
            err=True,
        )


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="An artifact, a folder, a timm or hub name, or samples:NAME.")],
    images: Annotated[str, typer.Argument(help="A folder of images, or a table of paths or bytes.")],
    out: OutOption,
    format: FormatOption = None,
    label: Annotated[
        str | None, typer.Option(help="The column of the label to explain; by default each picture's likeliest.")
    ] = None,
    overlay: Annotated[bool, typer.Option(help="Draw the heat over the picture, or as grey values alone.")] = True,
    batch_size: Annotated[int, typer.Option(help="Images in a batch.")] = 32,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what speaks for a label: every row of INPUT comes back with a heat map (PNG), or an error."""
    from brightspark.core.publish import refuse_existing, refuse_replacing
    from brightspark.core.storage import absolute
    from brightspark.vision import ImageClassifierModel, read_images
    from brightspark.vision.explanation import ImageExplainer

    refuse_replacing(images, out)
    classifier = ImageClassifierModel.pretrained(sample_or_path(model), batch_size=batch_size)
    explainer = ImageExplainer.of(classifier, label_col=label, overlay=overlay)
    spark = start_session(quiet=as_json)
    if not overwrite:
        refuse_existing(spark, out)
    explained, observation = explainer.measure(read_images(spark, absolute(images), format=format))
    _hint(write_answers(explained, observation, out, overwrite=overwrite, as_json=as_json), images)


@app.command()
def evaluate(
    table: Annotated[str, typer.Argument(help="A table that `score` wrote, with the true label in a column.")],
    label: Annotated[str, typer.Option(help="The column of the true label's name.")] = "label",
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure answers against the truth: accuracy, F1, AUROC, calibration, per class and with intervals."""
    commands.evaluate(table, label=label, format=format, as_json=as_json)
