"""What `brightspark doctor` says: findings, each with what is to be done, and how they look at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


class Level(StrEnum):
    """How bad a finding is. Only a failure makes `brightspark doctor` end with exit code 1."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    >>> print(Finding(Level.FAILURE, "slots", "2 slots were free, 4 ranks are wanted", "wait for other jobs"))
    failure slots: 2 slots were free, 4 ranks are wanted → wait for other jobs
    """

    level: Level
    check: str
    """What was checked, in a word or two: `Java`, `worker packages`."""

    found: str
    advice: str = ""
    """What to do next; empty where all is well."""

    def __str__(self) -> str:
        return f"{self.level} {self.check}: {self.found}{f' → {self.advice}' if self.advice else ''}"


def ok(check: str, found: str) -> Finding:
    """A finding that needs nothing."""
    return Finding(Level.OK, check, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """A finding that costs time or memory, or fails in some jobs only."""
    return Finding(Level.WARNING, check, found, advice)


def failure(check: str, found: str, advice: str) -> Finding:
    """A finding that a job would fail by."""
    return Finding(Level.FAILURE, check, found, advice)


_CHECK_COLUMNS = 18  # rows are drawn one by one, as they are found; longer names are folded
_MARKS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.FAILURE: ("✗", "bold red")}


def row(finding: Finding) -> Table:
    """A finding as Rich draws it: a mark, what was checked, what was found, and below that the next step."""
    from rich.table import Table
    from rich.text import Text

    mark, colour = _MARKS[finding.level]
    found = Text(finding.found)
    if finding.advice:
        found.append(f"\n→ {finding.advice}", style=colour)
    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column()
    drawn.add_column(width=_CHECK_COLUMNS)
    drawn.add_column(overflow="fold")
    drawn.add_row(Text(mark, style=colour), Text(finding.check, style="bold" if finding.advice else ""), found)
    return drawn


def summary(findings: Sequence[Finding]) -> str:
    """How many failures and warnings there are, in words.

    >>> summary([warning("cache", "0.2 GiB are free", "make room")])
    'no failures, 1 warning'
    """
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    return ", ".join(
        f"{counts[level] or 'no'} {level}{'' if counts[level] == 1 else 's'}"
        for level in (Level.FAILURE, Level.WARNING)
    )


def many(count: int, noun: str) -> str:
    """A number of things.

    >>> many(1, "host"), many(2, "host")
    ('1 host', '2 hosts')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
