"""How a training went as blocks of the HTML report: its figures, its loss curve, its epochs. Knows no Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from brightspark.core import report as page
from brightspark.core.errors import InputError
from brightspark.core.journal import read_journal

Line = Mapping[str, Any]
_NOT_MEASURED = ("time", "kind", "epoch", "step")


def training_blocks(folder: Path) -> list[page.Figures | page.Plot | page.Table]:
    """Key figures, the loss curve and a table of the epochs of the training in a run's folder.

    Raises InputError where the folder holds no journal with a step.
    """
    lines = list(read_journal(folder / "metrics.jsonl"))
    steps, epochs = (_last_of_each(lines, kind) for kind in ("step", "epoch"))
    if not steps:
        raise InputError(f"{folder} holds no journal of a training's steps")
    starts = [line for line in lines if line["kind"] == "started"]
    blocks: list[page.Figures | page.Plot | page.Table] = [
        _figures(starts, steps, epochs),
        _plot(starts, steps, epochs),
    ]
    if epochs:
        blocks.append(_table(epochs))
    return blocks


def _last_of_each(lines: Sequence[Line], kind: str) -> list[Line]:
    """The lines of a kind in the order of their steps; of a step that was taken again after a death, the last."""
    by_step = {line["step"]: line for line in lines if line["kind"] == kind}
    return [by_step[step] for step in sorted(by_step)]


def _figures(starts: Sequence[Line], steps: Sequence[Line], epochs: Sequence[Line]) -> page.Figures:
    last = steps[-1]
    figures = [
        page.KeyFigure(f"{last['step']:,} of {last['steps']:,}", "steps", "taken"),
        page.KeyFigure(last["samples_per_second"], "samples/s", f"on {_counted(starts[-1]['ranks'], 'rank')}"),
        page.KeyFigure(last["loss"], "", "loss of the last step"),
    ]
    if len(starts) > 1:
        figures.append(page.KeyFigure(len(starts) - 1, "", "times begun again from a snapshot"))
    skipped = sum(line["skipped"] for line in epochs)
    if skipped:
        figures.append(page.KeyFigure(skipped, "", "records that could not be read"))
    return page.Figures(figures)


def _plot(starts: Sequence[Line], steps: Sequence[Line], epochs: Sequence[Line]) -> page.Plot:
    with page.plot_style():
        figure = Figure()
        axes = figure.subplots()
        axes.plot(*_points(steps), label="training", linewidth=1)
        validated = [line for line in epochs if "loss" in line]
        if validated:
            axes.plot(*_points(validated), "o-", label="validation")
        for line in starts[1:]:
            axes.axvline(line["step"], color="#9ca3af", linestyle="--", linewidth=1)
        axes.set(xlabel="step", ylabel="loss")
        axes.legend()
        again = "; a dashed line is where it began again after a death" if len(starts) > 1 else ""
        return page.Plot(figure, alt="Loss by step", caption=f"The loss as training went{again}.")


def _points(lines: Sequence[Line]) -> tuple[list[int], list[float]]:
    return [line["step"] for line in lines], [line["loss"] for line in lines]


def _table(epochs: Sequence[Line]) -> page.Table:
    names = [name for name in epochs[-1] if name not in _NOT_MEASURED]
    rows = [[line["epoch"] + 1, line["step"], *(line[name] for name in names)] for line in epochs]
    return page.Table(["epoch", "steps", *names], rows, caption="What the validation rows say after each epoch.")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
