"""A training as it goes, on stderr: a bar at a terminal, else a line an epoch. Knows no Spark."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

Line = Mapping[str, Any]
_NOT_METRICS = frozenset({"time", "kind", "epoch", "step", "skipped"})


@contextmanager
def training_progress(*, quiet: bool = False) -> Iterator[Callable[[Line], None]]:
    """Gives what `brightspark.core.launch.train` takes as `say`; nothing is shown where it is to be quiet."""
    if quiet:
        yield lambda line: None
        return
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield lambda line: _print_epoch(console, line)
        return
    shown = ("epoch {task.fields[epoch]}", "loss {task.fields[loss]:.4g}", "{task.fields[rate]:,.0f} samples/s",
             "{task.fields[left]} left")  # fmt: skip
    with Progress(BarColumn(), *map(TextColumn, shown), console=console, transient=True) as bar:
        task = bar.add_task("training", total=None, start=False, visible=False, epoch=0, loss=0.0, rate=0.0, left="")

        def say(line: Line) -> None:
            if line["kind"] == "step":
                bar.start_task(task)
                bar.update(
                    task,
                    visible=True,
                    completed=line["step"],
                    total=line["steps"],
                    epoch=line["epoch"] + 1,
                    loss=line["loss"],
                    rate=line["samples_per_second"],
                    left=duration(line["seconds_left"]),
                )
            _print_epoch(console, line)

        yield say


def _print_epoch(console: Console, line: Line) -> None:
    if line["kind"] == "started":
        again = f", going on from step {line['step']:,}" if line["step"] else ""
        console.print(f"training on {line['rows']:,} rows{again}", highlight=False)
    if line["kind"] == "epoch":
        metrics = ", ".join(f"{name.replace('_', ' ')} {line[name]:.4f}" for name in line if name not in _NOT_METRICS)
        skipped = f", {line['skipped']:,} records could not be read" if line["skipped"] else ""
        console.print(f"epoch {line['epoch'] + 1}: {metrics or 'done'}{skipped}", highlight=False)


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(50), duration(125), duration(3 * 3600 + 240)
    ('50 s', '2 min', '3 h 4 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
