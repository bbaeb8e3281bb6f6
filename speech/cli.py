"""The commands of speech recognition: `brightspark speech …`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from brightspark.core import commands
from brightspark.core.cli import FormatOption, JsonOption, OutOption, OverwriteOption, sample_or_path

app = typer.Typer(help="Speech recognition, for any Whisper checkpoint.", no_args_is_help=True)

AudioArgument = Annotated[str, typer.Argument(help="A folder of recordings, or a table of paths or of sound.")]


@app.command()
def score(
    model: commands.ModelArgument,
    recordings: AudioArgument,
    out: OutOption,
    format: FormatOption = None,
    manifest: Annotated[
        str | None, typer.Option(help="A table (CSV, JSON lines, Parquet) with a path each, joined to the folder's.")
    ] = None,
    input: Annotated[
        str | None, typer.Option("--input", help="The column of paths or of sound; by default path or content.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Of the recordings, as in en or de; by default each one's is found out.")
    ] = None,
    translate: Annotated[bool, typer.Option(help="Write English, whatever is spoken.")] = False,
    words: Annotated[bool, typer.Option(help="Tell each word's time and confidence.")] = True,
    text: Annotated[str, typer.Option("--text", help="The column for the transcripts.")] = "text",
    batch_size: Annotated[int, typer.Option(help="Seconds of sound in a batch, padding included.")] = 160,
    precision: commands.PrecisionOption = "auto",
    quarantine: commands.QuarantineOption = None,
    max_error_rate: commands.ErrorRateOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Transcribe recordings: every row of RECORDINGS comes back with a text and its words, or an error."""
    from brightspark.speech import TranscriberModel, read_audio

    settings = {
        "input_col": input, "language": language, "task": "translate" if translate else "transcribe", "words": words,
        "text_col": text, "batch_size": batch_size, "precision": precision,
    }  # fmt: skip
    commands.score(
        lambda: TranscriberModel.pretrained(sample_or_path(model), **settings),
        source=recordings,
        read=partial(read_audio, format=format, manifest=manifest),
        out=out,
        quarantine=quarantine,
        max_error_rate=max_error_rate,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def evaluate(
    table: Annotated[str, typer.Argument(help="A table that `score` wrote, with what was said in a column.")],
    reference: Annotated[str, typer.Option(help="The column of what was said.")] = "reference",
    text: Annotated[str, typer.Option("--text", help="The column of the transcripts.")] = "text",
    by: Annotated[
        list[str] | None, typer.Option(help="A column to measure by: speaker, language; may be given again.")
    ] = None,
    normaliser: Annotated[
        str, typer.Option(help="What is made alike first: none; basic, case and punctuation; english, numbers as well.")
    ] = "basic",
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure transcripts against what was said: WER and CER, by duration and by column, and the worst of them."""
    from brightspark.core.transcription_metrics import transcription

    measure = partial(transcription, reference=reference, prediction=text, by=tuple(by or ()), normaliser=normaliser)
    commands.report(table, measure, format=format, as_json=as_json)
