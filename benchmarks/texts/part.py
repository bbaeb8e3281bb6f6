"""What every part of the benchmark does: rounds, a table, the goals, and what is to be kept of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rounds import Deadline
from training import table

from brightspark.core.precision import resolve_precision
from texts.kept import Kept, Run

RESULTS = Path(__file__).parent.parent / "results"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks of a part."""

    rounds: int
    deadline: Deadline
    texts: int | None = None
    """Another number than the part's own."""
    only: tuple[str, ...] = ()
    """Contenders; none: all."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """By contender: which share of the texts it scores."""
    float32: bool = False
    """Even where the processor is fast at bfloat16."""
    fresh: bool = False
    translator: Path | None = None
    device: str = "cuda"
    """Of the part `gpu`."""

    @property
    def bfloat16(self) -> bool:
        """Whether this processor's cores compute in bfloat16: as brightspark decides by itself."""
        return not self.float32 and resolve_precision("auto", "cpu") == "bfloat16"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a part found."""

    kept: Mapping[str, Any]
    """For the results' file."""
    whole: bool
    """Whether it is what the part promises: its own number of texts and precision, all contenders and rounds."""
    met: bool
    """Whether no contender failed, and no goal that could be judged is missed."""


def measured(
    name: str,
    contenders: Mapping[str, Callable[[], Run]],
    goals: Mapping[tuple[str, str], float],
    asked: Asked,
    *,
    standard: bool,
    counted: str = "texts",
) -> tuple[Kept, Found]:
    """Runs the contenders that are asked for, and prints how they compare; `name` is that of the file with the runs."""
    record = Kept.open(RESULTS / f"score_text-{name}.partial.json", counted)
    if asked.fresh:
        record.runs.clear()
    chosen = {one: run for one, run in contenders.items() if not asked.only or one in asked.only}
    finished = record.measure(chosen, asked.rounds, asked.deadline)
    rates = {one: some for one, some in record.rates().items() if one in contenders}
    judged = {pair: goal for pair, goal in goals.items() if _common(rates, pair)}
    found = table.judged(rates, f"{counted}/s", judged)
    runs = [{name: value for name, value in run.items() if name != "answers"} for run in record.runs]
    every = all(set(range(asked.rounds)) <= set(rates.get(one, ())) for one in contenders)
    return record, Found(
        kept={**found, "runs": runs},
        whole=standard and every,
        met=finished and all(goal["verdict"] == "met" for goal in found["goals"].values()),
    )


def agreement(record: Kept, reference: str, names: Iterable[str]) -> dict[str, float]:
    """The share of answers of some contenders that are those of the reference, over the texts that both have."""
    known = _answers(record, reference)
    shares = {}
    for name in names:
        common = known.keys() & _answers(record, name).keys()
        if name != reference and common:
            shares[name] = sum(known[one] == _answers(record, name)[one] for one in common) / len(common)
            print(f"{name}: {shares[name]:.2%} of {len(common):,} answers are those of {reference}")
    return shares


def _answers(record: Kept, name: str) -> Mapping[str, str]:
    runs = record.of(name)
    return runs[-1]["answers"] if runs else {}


def _common(rates: Mapping[str, Mapping[int, float]], pair: tuple[str, str]) -> bool:
    return bool(set(rates.get(pair[0], ())) & set(rates.get(pair[1], ())))
