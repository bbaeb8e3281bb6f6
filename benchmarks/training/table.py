"""What every part of the training's benchmark prints and keeps: rates by round, their spread, and the goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import apart
from ratios import ratio, spread

Rates = dict[str, dict[int, float]]


def rounds(contenders: Mapping[str, Callable[[], float]], count: int, unit: str) -> Rates:
    """Every contender once a round, another one first each time."""
    rates: Rates = {name: {} for name in contenders}
    for number in range(count):
        for name in apart.rotated(list(contenders), number):
            rates[name][number] = contenders[name]()
            print(f"  round {number + 1} {name}: {rates[name][number]:,.1f} {unit}", flush=True)
    return rates


def judged(rates: Rates, unit: str, goals: Mapping[tuple[str, str], float]) -> dict[str, Any]:
    """Prints the spreads, and how the contenders of `goals` (ours, theirs) compare; what is to be kept of it."""
    print(f"| contender | {unit} |\n| --- | --- |")
    for name, some in rates.items():
        found = spread(list(some.values()))
        print(f"| {name} | {found.median:,.1f} [{found.lower:,.1f}, {found.upper:,.1f}] |")
    kept: dict[str, Any] = {"unit": unit, "rates": rates, "goals": {}}
    for (ours, theirs), goal in goals.items():
        compared = ratio(rates[ours], rates[theirs])
        assert compared is not None
        verdict = "met" if compared.median >= goal else "SHORT"
        print(f"{ours} ÷ {theirs}: {compared}, goal {goal}: {verdict}", flush=True)
        kept["goals"][f"{ours} / {theirs}"] = {"ratio": compared, "goal": goal, "verdict": verdict}
    return kept
