"""The commands that solutions share: their options, and what fit, score and evaluate do once these are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brightspark.core.cli import progress, show, start_session, write_answers
from brightspark.core.errors import SettingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.model import ScoringModel

ERROR_RATE = 0.01  # the share of rows that may fail where --quarantine is given

LabelOption = Annotated[str, typer.Option("--label", help="The column of the label, or of an array of labels.")]
GroupOption = Annotated[
    str | None,
    typer.Option("--group", help="A column of what must not stand on both sides: a patient, a camera, an author."),
]
RanksOption = Annotated[int, typer.Option("--ranks", help="Processes that train together, on slots of their own.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE for any other setting of the estimator; may be given again."),
]
RunFolderOption = Annotated[
    str | None,
    typer.Option("--run-folder", help="Where training lies meanwhile; by default OUT.training, deleted at the end."),
]
StartOption = Annotated[
    str, typer.Option("--model", help="Where to start: a hub's name, a folder, an artifact, samples:NAME.")
]
ModelArgument = Annotated[str, typer.Argument(help="An artifact, a folder, a hub's name, or samples:NAME.")]
TopKOption = Annotated[int, typer.Option("--top-k", help="Add the likeliest labels.")]
PrecisionOption = Annotated[str, typer.Option("--precision", help="auto, float32, bfloat16 or float16.")]
QuarantineOption = Annotated[
    str | None, typer.Option("--quarantine", help="Write failed rows here, and only good ones to --out.")
]
ErrorRateOption = Annotated[
    float | None,
    typer.Option("--max-error-rate", help=f"With --quarantine: fail above this share; by default {ERROR_RATE}."),
]

Reader = Callable[["SparkSession", str], "DataFrame"]


def fit(
    estimator: type[Any],
    named: Mapping[str, Any],
    more: Sequence[str] | None,
    *,
    source: str,
    read: Reader,
    out: str,
    overwrite: bool,
    as_json: bool,
    follow: Callable[..., AbstractContextManager[Callable[..., None]]] | None = None,
    equip: Callable[[Any, SparkSession], object] | None = None,
    sources: Sequence[str] = (),
) -> Any:
    """Trains on what `read` makes of `source`, and saves the model to `out`; the same call goes on after a death.

    `named` are settings, `more` others as NAME=VALUE. Without a `run_folder` the training lies in `out`.training, and
    is deleted at the end. `follow` gives what the estimator's `watch` is told while it trains, by default its journal's
    lines; `equip` gives an estimator what is no setting, out of other `sources`. Gives the model.
    """
    from brightspark.core.params import parsed
    from brightspark.core.publish import refuse_existing, refuse_replacing
    from brightspark.core.storage import absolute
    from brightspark.core.training_progress import training_progress

    follow = follow or training_progress
    try:
        settings = {**named, **parsed(estimator.Settings, more or ())}
        beside = None if settings["run_folder"] else _beside(out)
        trainer = estimator(**{**settings, "run_folder": settings["run_folder"] or beside})
    except SettingError as error:
        raise typer.BadParameter(str(error)) from None
    for one in (source, *sources):
        refuse_replacing(one, out, *([beside] if beside else []))
    spark = start_session(quiet=as_json)
    if not overwrite:
        refuse_existing(spark, out)
    if equip is not None:
        equip(trainer, spark)
    with follow(quiet=as_json) as trainer.watch:
        trained = trainer.fit(read(spark, absolute(source)))
    (trained.write().overwrite() if overwrite else trained.write()).save(out)
    if beside is not None:
        for fits in Path(beside).glob("fit-*"):
            shutil.rmtree(fits, ignore_errors=True)
        with suppress(OSError):  # not empty: something else lies there
            Path(beside).rmdir()
    labels = trained.artifact.labels
    title = f"{len(labels)} labels, in {out}" if labels else f"trained, in {out}"
    show({"out": out, **trained.artifact.metrics}, title=title, as_json=as_json)
    return trained


def _beside(out: str) -> str:
    """The folder of a training that is to become an artifact at `out`."""
    if "://" in out:
        raise typer.BadParameter(f"--run-folder is needed with --out {out}: a path that the driver and all workers see")
    return f"{out.rstrip('/')}.training"


def score(
    load: Callable[[], ScoringModel[Any]],
    *,
    source: str,
    read: Reader,
    out: str,
    quarantine: str | None = None,
    max_error_rate: float | None = None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Scores what `read` makes of `source` into `out`, failed rows into `quarantine` if it is given; how many rows."""
    from brightspark.core.publish import publish, refuse_existing, refuse_replacing
    from brightspark.core.storage import absolute

    if max_error_rate is not None and quarantine is None:
        raise typer.BadParameter("--max-error-rate needs --quarantine, where the failed rows go")
    targets = [out, *([quarantine] if quarantine else [])]
    refuse_replacing(source, *targets)
    try:
        model = load()
    except SettingError as error:
        raise typer.BadParameter(str(error)) from None
    spark = start_session(quiet=as_json)
    if not overwrite:
        refuse_existing(spark, *targets)
    found = read(spark, absolute(source))
    if quarantine is None:
        scored, observation = model.measure(found)
        return write_answers(scored, observation, out, overwrite=overwrite, as_json=as_json)
    with progress(spark, f"scoring into {out}", quiet=as_json):
        done = publish(
            model.transform(found),
            out,
            quarantine,
            max_error_rate=ERROR_RATE if max_error_rate is None else max_error_rate,
            mode="overwrite" if overwrite else "error",
        )
    typer.echo(
        json.dumps({"rows": done.rows, "errors": done.errors, "out": out, "quarantine": quarantine})
        if as_json
        else f"{done.rows - done.errors:,} rows in {out}, {done.errors:,} in {quarantine}"
    )
    return done.rows


def evaluate(table: str, *, label: str, format: str | None, as_json: bool) -> None:
    """Measures a table of a classifier's answers, and prints the report."""
    from brightspark.core.evaluation import evaluate as measure

    report(table, lambda scored: measure(scored, label=label), format=format, as_json=as_json)


def report(table: str, measure: Callable[[DataFrame], Any], *, format: str | None, as_json: bool) -> None:
    """Prints what `measure` finds in a table of answers."""
    from brightspark.core.storage import absolute
    from brightspark.core.tables import read_table

    spark = start_session(quiet=as_json)
    with progress(spark, f"measuring {table}", quiet=as_json):
        found = measure(read_table(spark, absolute(table), format=format))
    typer.echo(json.dumps(found.to_dict()) if as_json else str(found))
