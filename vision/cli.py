"""The commands of image classification: `brightspark vision …`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from brightspark.core import commands
from brightspark.core.cli import FormatOption, JsonOption, OutOption, OverwriteOption, sample_or_path

app = typer.Typer(help="Image classification, for any timm model.", no_args_is_help=True)


@app.command()
def fit(
    images: Annotated[str, typer.Argument(help="A folder of images in their labels' folders, or a table with labels.")],
    model: commands.StartOption,
    out: Annotated[str, typer.Option(help="Where the artifact goes: a folder, or a URI.")],
    format: FormatOption = None,
    label: commands.LabelOption = "label",
    group: commands.GroupOption = None,
    epochs: Annotated[int, typer.Option(help="How often each image is seen.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Images in a step, over all ranks.")] = 64,
    ranks: commands.RanksOption = 1,
    setting: commands.SetOption = None,
    run_folder: commands.RunFolderOption = None,
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
    model: commands.ModelArgument,
    images: Annotated[str, typer.Argument(help="A folder of images, or a table of paths or bytes.")],
    out: OutOption,
    format: FormatOption = None,
    top_k: commands.TopKOption = 0,
    batch_size: Annotated[int, typer.Option(help="Images in a batch.")] = 32,
    precision: commands.PrecisionOption = "auto",
    quarantine: commands.QuarantineOption = None,
    max_error_rate: commands.ErrorRateOption = None,
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
    model: commands.ModelArgument,
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
    from brightspark.vision import ImageClassifierModel, read_images
    from brightspark.vision.explanation import ImageExplainer

    def load() -> ImageExplainer:
        classifier = ImageClassifierModel.pretrained(sample_or_path(model), batch_size=batch_size)
        return ImageExplainer.of(classifier, label_col=label, overlay=overlay)

    rows = commands.score(
        load, source=images, read=partial(read_images, format=format), out=out, overwrite=overwrite, as_json=as_json
    )
    _hint(rows, images)


@app.command()
def evaluate(
    table: Annotated[str, typer.Argument(help="A table that `score` wrote, with the true label in a column.")],
    label: Annotated[str, typer.Option(help="The column of the true label's name.")] = "label",
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure answers against the truth: accuracy, F1, AUROC, calibration, per class and with intervals."""
    commands.evaluate(table, label=label, format=format, as_json=as_json)
