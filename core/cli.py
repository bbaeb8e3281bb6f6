"""The command `brightspark`: what all solutions share, and each solution's own commands below its name."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from brightspark.core.errors import BrightsparkError, SettingError, one_line
from brightspark.core.solutions import load, solutions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Observation, SparkSession

app = typer.Typer(
    name="brightspark",
    help="Deep learning on Apache Spark: score, evaluate and explain images, texts, recordings and ratings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

OutOption = Annotated[str, typer.Option("--out", help="Where the table of answers goes, as Parquet.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
FormatOption = Annotated[str | None, typer.Option("--format", help="The table's format, by Spark's name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for machines.")]


def main() -> NoReturn:
    """Runs the command line. Exit code 0: done; 1: the work failed; 2: wrong usage."""
    for solution in solutions("cli"):
        app.add_typer(load(solution, "cli").app, name=solution)
    try:
        app(prog_name="brightspark")
    except BrightsparkError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted")
    except Exception as error:
        # Spark's errors carry the worker's whole traceback; the cause stands in the last line of Python's own.
        if "--debug" in sys.argv:
            raise
        fail(worker_error(error))
    sys.exit(0)


def fail(message: str) -> NoReturn:
    """Ends the program with a message and exit code 1."""
    typer.secho(f"error: {message}", fg="red", err=True)
    sys.exit(1)


def worker_error(error: BaseException) -> str:
    """The line of a Spark error that says what went wrong in the worker.

    >>> worker_error(RuntimeError("Job aborted\\nTraceback …\\nbrightspark.core.errors.ModelError: no\\n\\tat java"))
    'ModelError: no'
    """
    lines = [line.strip() for line in str(error).splitlines()]
    ours = [line for line in lines if line.startswith("brightspark.core.errors.")]
    return ours[-1].rpartition("brightspark.core.errors.")[2] if ours else one_line(error, limit=2_000)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an unexpected error.")] = False,
) -> None:
    """Deep learning on Apache Spark: score, evaluate and explain images, texts, recordings and ratings."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder of the report.")] = Path("report"),
    only: Annotated[list[str] | None, typer.Option(help="Run only this solution; may be given again.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Train for longer, and with several seeds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the main job of every solution on real data, and write out/index.html."""
    from brightspark.core.demo import run_demo

    run_demo(out, only=only, full=full, as_json=as_json)


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A pickled PyTorch checkpoint (.pth, .pt, .bin).")],
    model: Annotated[str, typer.Option(help="The architecture's name in the solution's library.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    solution: Annotated[str, typer.Option(help="The solution that the model is for.")] = "vision",
    labels: Annotated[Path | None, typer.Option(help="A text file with one label a line, in order.")] = None,
) -> None:
    """Turn a foreign pickled checkpoint into a folder of safetensors that every worker may load."""
    known = solutions("convert")
    if solution not in known:
        raise typer.BadParameter(f"{solution!r} converts nothing; there are: {', '.join(known)}")
    names = None if labels is None else labels.read_text(encoding="utf-8").splitlines()
    folder = load(solution, "convert").convert(checkpoint, model, out, labels=names)
    typer.echo(f"wrote {folder}")


@app.command("app")
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; others than this one reach it from outside.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The port; by default a free one.")] = None,
    model: Annotated[str | None, typer.Option(help="An artifact, a folder, a hub name, or samples:NAME.")] = None,
    folder: Annotated[str | None, typer.Option(help="Offer the files below this folder, where the app runs.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Show only this solution; may be given again.")] = None,
) -> None:
    """Open the demo app: a page for the browser with one tab per solution."""
    load("apps", "frame").run_app(host=host, port=port, model=model, folder=folder, only=only or ())


@app.command()
def doctor(
    path: Annotated[
        list[str] | None, typer.Option(help="What the workers must be able to read; may be repeated.")
    ] = None,
    writable: Annotated[list[str] | None, typer.Option(help="A folder that they must write into; likewise.")] = None,
    solution: Annotated[list[str] | None, typer.Option(help="Whose packages; by default all installed.")] = None,
    ranks: Annotated[int, typer.Option(min=0, help="Processes of a distributed training; 0: scoring only.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Check Java, Python, Spark and its workers, and say what to mend, before a long job finds out."""
    from dataclasses import asdict

    from rich.console import Console

    from brightspark.core.doctor import checks
    from brightspark.core.findings import Level, row, summary
    from brightspark.core.requirements import check_solutions

    try:
        check_solutions(solution or [])
    except SettingError as error:
        raise typer.BadParameter(str(error)) from None
    console, findings = Console(), []
    for finding in checks(None, solutions=solution, paths=path or (), writable=writable or (), ranks=ranks):
        findings.append(finding)
        if not as_json:  # at once: the workers may take a minute to answer
            console.print(row(finding))
    typer.echo(json.dumps([asdict(finding) for finding in findings]) if as_json else summary(findings))
    if any(finding.level is Level.FAILURE for finding in findings):
        raise typer.Exit(1)


def at_terminal() -> bool:
    """Whether a person reads along on stderr."""
    return sys.stderr.isatty()


def start_session(*, quiet: bool = False) -> SparkSession:
    """The session for a command; one that is built here draws Spark's own progress bar at a terminal."""
    from brightspark.core.session import session

    shown = "true" if at_terminal() and not quiet else "false"
    return session("brightspark", **{"spark.ui.showConsoleProgress": shown})


@contextmanager
def progress(spark: SparkSession, what: str, *, quiet: bool = False) -> Iterator[None]:
    """Says on stderr what is being done, and on Spark Connect how many tasks of it; on classic Spark, Spark does."""
    from pyspark.sql.utils import is_remote
    from rich.console import Console

    if quiet or not at_terminal():
        yield
        return
    console = Console(stderr=True)
    if not is_remote():
        console.print(f"{what} …")
        yield
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def follow(stages: Any, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
            bar.update(
                task,
                total=sum(stage.num_tasks for stage in stages),
                completed=sum(stage.num_completed_tasks for stage in stages),
            )

        client: Any = spark  # registerProgressHandler is Connect's alone
        client.registerProgressHandler(follow)
        try:
            yield
        finally:
            client.removeProgressHandler(follow)


def write_answers(scored: DataFrame, observation: Observation, out: str, *, overwrite: bool, as_json: bool) -> int:
    """Writes a table of answers, and prints what it took; the number of records."""
    from brightspark.core.publish import refuse_existing

    if not overwrite:
        refuse_existing(scored.sparkSession, out)
    started = time.perf_counter()
    with progress(scored.sparkSession, f"scoring into {out}", quiet=as_json):
        scored.write.mode("overwrite" if overwrite else "error").parquet(out)
    seconds = time.perf_counter() - started
    numbers: dict[str, Any] = {name: value or 0 for name, value in observation.get.items()}
    rate = numbers["records"] / seconds
    show(
        {"out": out, "seconds": round(seconds, 2), "records_per_second": round(rate, 1), **numbers},
        title=f"{numbers['records']:,} records, {numbers['errors']:,} errors, {rate:,.1f} records/s",
        as_json=as_json,
    )
    return int(numbers["records"])


def show(numbers: Mapping[str, Any], *, title: str, as_json: bool) -> None:
    """Prints named numbers: a table for people, one line of JSON for machines."""
    if as_json:
        typer.echo(json.dumps(numbers))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in numbers.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}" if isinstance(value, float) else str(value))
    Console().print(table)


def sample_or_path(name: str) -> str:
    """A model's name, with `samples:NAME` turned into the folder of that sample.

    Raises InputError for a sample that does not exist.
    """
    if not name.startswith("samples:"):
        return name
    return str(load("samples", "weights").model(name.removeprefix("samples:")))
