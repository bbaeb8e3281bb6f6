"""Which packages brightspark needs, and from which version on: read from its own installed metadata."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from brightspark.core.errors import SettingError, did_you_mean
from brightspark.core.solutions import solutions

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_DRIVER_ONLY = frozenset({"jinja2", "matplotlib", "rich", "typer"})  # reports and the command line


@dataclass(frozen=True)
class Need:
    """A package that must be there, in a version that fits."""

    requirement: Requirement
    solution: str | None
    """The solution whose extra asks for it; None where all of brightspark does."""

    @property
    def name(self) -> str:
        """The distribution's name."""
        return self.requirement.name

    @property
    def on_workers(self) -> bool:
        """Whether a worker process imports it."""
        return self.name not in _DRIVER_ONLY

    @property
    def wanted(self) -> str:
        """As pip takes it on a command line."""
        return f"'{self.name}{self.requirement.specifier}'"

    def fits(self, version: str) -> bool:
        """Whether a version is one that brightspark was made for."""
        release = release_of(version)
        return bool(release) and self.requirement.specifier.contains(release, prereleases=True)


def release_of(version: str) -> str:
    """The numbers that a version starts with: vendors add names that no standard knows.

    >>> release_of("4.1.0-amzn-0"), release_of("2.10.0+cu128")
    ('4.1.0', '2.10.0')
    """
    match = re.match(r"\d+(\.\d+)*", version)
    return match.group() if match else ""


def needs(wanted: Collection[str]) -> list[Need]:
    """The packages that brightspark and the extras of these solutions need; none twice.

    Raises PackageNotFoundError where brightspark is imported from a folder and not installed.
    """
    found: dict[str, Need] = {}
    for solution in (None, *wanted):
        for requirement in _requirements(solution):
            found.setdefault(requirement.name, Need(requirement, solution))
    return list(found.values())


def known_solutions() -> list[str]:
    """The solutions that are there and have an extra."""
    extras = metadata.metadata("brightspark").get_all("Provides-Extra") or []
    return [name for name in solutions("cli") if name in extras]


def installed_solutions() -> list[str]:
    """The solutions whose domain library, the first package of the extra, is installed here."""
    return [name for name in known_solutions() if installed(_requirements(name)[0].name) is not None]


def check_solutions(names: Sequence[str]) -> None:
    """Raises SettingError for a name that is no solution's, and where nothing says what a solution needs."""
    if not names:
        return
    try:
        known = known_solutions()
    except metadata.PackageNotFoundError:
        raise SettingError(
            "brightspark is imported from a folder and not installed, so what a solution needs is not known; "
            "pip install -e . in its checkout, or name no solution"
        ) from None
    for name in names:
        if name not in known:
            raise SettingError(f"there is no solution {name!r}; {did_you_mean(name, known)}")


def installed(name: str) -> str | None:
    """The version of a package that is installed here."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements(extra: str | None) -> list[Requirement]:
    """What an extra adds to the base; None: the base."""
    from packaging.requirements import Requirement

    found = [Requirement(line) for line in metadata.requires("brightspark") or []]
    if extra is None:
        return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [
        one
        for one in found
        if one.marker is not None and one.marker.evaluate({"extra": extra}) and not one.marker.evaluate({"extra": ""})
    ]
