"""The commands of text classification: `brightspark nlp …`."""

from __future__ import annotations

from enum import StrEnum
from functools import cache, partial
from typing import Annotated

import typer

from brightspark.core import commands
from brightspark.core.cli import FormatOption, JsonOption, OutOption, OverwriteOption, sample_or_path

app = typer.Typer(
    help="Text classification, sentence vectors and translation, for any Hugging Face checkpoint.",
    no_args_is_help=True,
)

TextsArgument = Annotated[str, typer.Argument(help="A table of texts, or a folder of text files.")]
TextOption = Annotated[str, typer.Option("--text", help="The column of the texts.")]
EncodingOption = Annotated[str, typer.Option("--encoding", help="Of text files, and of texts in binary columns.")]
FromOption = Annotated[str | None, typer.Option("--from", help="The texts' language in the checkpoint's words.")]
ToOption = Annotated[str | None, typer.Option("--to", help="The language to translate into, likewise.")]


class Task(StrEnum):
    """What `fit` learns."""

    CLASSIFICATION = "classification"
    SENTIMENT = "sentiment"
    TRANSLATION = "translation"


@app.command()
def fit(
    texts: Annotated[str, typer.Argument(help="A table of texts and labels, or text files in their labels' folders.")],
    model: Annotated[
        str, typer.Option("--model", help="Where to start: a hub's name, a folder, an artifact, samples:NAME; scratch.")
    ],
    out: Annotated[str, typer.Option(help="Where the artifact goes: a folder, or a URI.")],
    task: Annotated[
        Task, typer.Option(help="Labels; feelings, with defaults of their own; or translations.")
    ] = Task.CLASSIFICATION,
    format: FormatOption = None,
    text: TextOption = "text",
    label: commands.LabelOption = "label",
    target: Annotated[str, typer.Option(help="Of translation: the column of the translations.")] = "target",
    source_language: FromOption = None,
    target_language: ToOption = None,
    group: commands.GroupOption = None,
    encoding: EncodingOption = "utf-8",
    epochs: Annotated[int | None, typer.Option(help="How often each text is seen; 3, or 20 from scratch.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Texts in a step, over all ranks; 32 by default.")] = None,
    lora_rank: Annotated[
        int | None, typer.Option(help="Learn matrices of this rank (8 is usual) beside the network's own: LoRA.")
    ] = None,
    ranks: commands.RanksOption = 1,
    setting: commands.SetOption = None,
    run_folder: commands.RunFolderOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a checkpoint on labelled texts, or on texts and their translations; `--model scratch` begins a small
    translator anew. The same command goes on where it was stopped or killed."""
    from brightspark.nlp import TextClassifier, Translator
    from brightspark.nlp.fit_settings import SENTIMENT
    from brightspark.nlp.translation_fit_settings import SCRATCH

    estimator: type[TextClassifier | Translator] = TextClassifier
    named = {"text_col": text, "group_col": group, "ranks": ranks, "run_folder": run_folder}
    if task is Task.TRANSLATION:
        estimator = Translator
        named |= {"target_col": target, "source_language": source_language, "target_language": target_language}
    else:
        named |= {"label_col": label, **(SENTIMENT if task is Task.SENTIMENT else {})}
    said = {"epochs": epochs, "batch_size": batch_size, "lora_rank": lora_rank}
    named |= {name: value for name, value in said.items() if value is not None}
    from_scratch = task is Task.TRANSLATION and model == SCRATCH
    commands.fit(
        estimator,
        {**named, "checkpoint": SCRATCH if from_scratch else sample_or_path(model)},
        setting,
        source=texts,
        read=_reader(format, text, encoding),
        out=out,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def score(
    model: commands.ModelArgument,
    texts: TextsArgument,
    out: OutOption,
    format: FormatOption = None,
    text: TextOption = "text",
    encoding: EncodingOption = "utf-8",
    top_k: commands.TopKOption = 0,
    batch_size: Annotated[int, typer.Option(help="Tokens in a batch, padding included.")] = 2048,
    precision: commands.PrecisionOption = "auto",
    quarantine: commands.QuarantineOption = None,
    max_error_rate: commands.ErrorRateOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Classify texts: every row of TEXTS comes back with a prediction and probabilities, or an error."""
    from brightspark.nlp import TextClassifierModel

    settings = {"text_col": text, "top_k": top_k, "batch_size": batch_size, "precision": precision}
    commands.score(
        lambda: TextClassifierModel.pretrained(sample_or_path(model), **settings),
        source=texts,
        read=_reader(format, text, encoding),
        out=out,
        quarantine=quarantine,
        max_error_rate=max_error_rate,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def explain(
    model: commands.ModelArgument,
    texts: TextsArgument,
    out: OutOption,
    format: FormatOption = None,
    text: TextOption = "text",
    label: Annotated[
        str | None, typer.Option(help="The column of the label to explain; by default the model's prediction.")
    ] = None,
    encoding: EncodingOption = "utf-8",
    batch_size: Annotated[int, typer.Option(help="Tokens in a batch, padding included.")] = 2048,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show which words speak for a label: every row of TEXTS comes back with its tokens and their weights, or an
    error."""
    from brightspark.nlp import TextClassifierModel, TextExplainer

    @cache  # it is asked for twice, and reading it hashes its files
    def classifier() -> TextClassifierModel:
        return TextClassifierModel.pretrained(sample_or_path(model), text_col=text, batch_size=batch_size)

    read = _reader(format, text, encoding)
    commands.score(
        lambda: TextExplainer.of(
            classifier(), batch_size=batch_size, **({} if label is None else {"label_col": label})
        ),
        source=texts,
        read=read if label is not None else lambda spark, path: classifier().transform(read(spark, path)),
        out=out,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def embed(
    model: commands.ModelArgument,
    texts: TextsArgument,
    out: OutOption,
    format: FormatOption = None,
    text: TextOption = "text",
    encoding: EncodingOption = "utf-8",
    batch_size: Annotated[int, typer.Option(help="Tokens in a batch, padding included.")] = 2048,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn texts into sentence vectors: every row of TEXTS comes back with its features, or an error."""
    from brightspark.nlp import TextEmbedder

    commands.score(
        lambda: TextEmbedder.pretrained(sample_or_path(model), text_col=text, batch_size=batch_size),
        source=texts,
        read=_reader(format, text, encoding),
        out=out,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def translate(
    model: commands.ModelArgument,
    texts: TextsArgument,
    out: OutOption,
    source: FromOption = None,
    target: ToOption = None,
    format: FormatOption = None,
    text: TextOption = "text",
    encoding: EncodingOption = "utf-8",
    beams: Annotated[int, typer.Option(help="Translations followed at a time; 1 is the fastest.")] = 4,
    cut: Annotated[
        str | None, typer.Option(help="Add a column of this name: whether the translation was too long, and cut.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Tokens of the source in a batch, padding included.")] = 1024,
    precision: commands.PrecisionOption = "auto",
    quarantine: commands.QuarantineOption = None,
    max_error_rate: commands.ErrorRateOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Translate texts: every row of TEXTS comes back with a translation and its score, or an error."""
    from brightspark.nlp import TranslatorModel

    languages = {"source_language": source, "target_language": target}
    settings = {"text_col": text, "beams": beams, "cut_col": cut, "batch_size": batch_size, "precision": precision}
    commands.score(
        lambda: TranslatorModel.pretrained(sample_or_path(model), **settings, **languages),
        source=texts,
        read=_reader(format, text, encoding),
        out=out,
        quarantine=quarantine,
        max_error_rate=max_error_rate,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def evaluate(
    table: Annotated[str, typer.Argument(help="A table that `score` or `translate` wrote, and the truth in a column.")],
    label: Annotated[str, typer.Option(help="The column of the true label's name.")] = "label",
    reference: Annotated[
        str | None, typer.Option(help="Of translations: the column of the right ones; gives BLEU, chrF and TER.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="With --reference: a column to measure by, such as language.")] = None,
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure answers against the truth: accuracy, F1, AUROC, calibration; of translations BLEU, chrF and TER."""
    from brightspark.core.translation_metrics import translation

    if reference is not None:
        commands.report(table, partial(translation, reference=reference, by=by), format=format, as_json=as_json)
    elif by is not None:
        raise typer.BadParameter("--by needs --reference: it is for translations")
    else:
        commands.evaluate(table, label=label, format=format, as_json=as_json)


def _reader(format: str | None, text: str, encoding: str) -> commands.Reader:
    from brightspark.nlp import read_texts

    return partial(read_texts, format=format, text_col=text, encoding=encoding)
