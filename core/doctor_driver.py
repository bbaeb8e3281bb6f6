"""What can be found out before Spark starts: this process, its Java, its packages and its disks."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import brightspark
from brightspark.core.cache import CACHE_VARIABLE
from brightspark.core.doctor_storage import disk
from brightspark.core.errors import SetupError
from brightspark.core.findings import Finding, failure, ok, warning
from brightspark.core.requirements import Need, installed, installed_solutions, needs
from brightspark.core.session import JAVA_ADVICE, check_java

FREE_BYTES = 2 << 30  # a few models of hundreds of megabytes, or Spark's shuffle files of a small job

# From Spark 4.2's overview: Java 25 is supported, deprecated before 25.0.3, whose G1 can corrupt data (SPARK-55852).
_TESTED_JAVA = {17: (4, 0), 21: (4, 0), 25: (4, 2)}


def examine_driver(solutions: Sequence[str] | None) -> Iterator[Finding]:
    """Python, links, packages and disks of this process; the packages of `solutions`, or of all that are installed."""
    yield ok("Python", f"{'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}")
    yield from examine_links(Path(brightspark.__path__[0]))
    yield from examine_packages(solutions)
    yield from (finding for one in disk() for finding in examine_disk(one))


def examine_java() -> Finding:
    """The Java that a session which is built here would run on."""
    try:
        said = check_java()
    except SetupError as error:
        return failure("Java", str(error).removesuffix(f". {JAVA_ADVICE}"), JAVA_ADVICE)
    version = tuple(int(part) for part in re.findall(r"\d+", said.partition('"')[2].partition('"')[0])[:3])
    spark = tuple(int(part) for part in re.findall(r"\d+", installed("pyspark") or "")[:2])
    if spark < _TESTED_JAVA.get(version[0], (sys.maxsize,)):
        return warning("Java", f"Spark {'.'.join(map(str, spark))} is not tested on {said}", JAVA_ADVICE)
    if (25,) <= version < (25, 0, 3):
        return warning("Java", f"{said} can corrupt data (SPARK-55852)", "use Java 17, 21, or 25.0.3 and newer")
    return ok("Java", said)


def examine_links(package: Path) -> Iterator[Finding]:
    """Whether the folders of a checkout are links, and not files that say where a link should lead."""
    broken = sorted(entry.name for entry in package.iterdir() if entry.is_file() and not entry.suffix)
    if broken:
        yield failure(
            "checkout",
            f"no links but plain files: {', '.join(broken)} in {package}",
            "clone again with symbolic links: on Windows within WSL, elsewhere with core.symlinks=true",
        )


def examine_packages(solutions: Sequence[str] | None) -> Iterator[Finding]:
    """The packages of this process against what brightspark's own metadata asks for."""
    try:
        wanted = needs(installed_solutions() if solutions is None else solutions)
    except metadata.PackageNotFoundError:
        yield warning(
            "packages",
            f"brightspark is imported from {brightspark.__path__[0]} but not installed: what it needs is not known",
            "pip install -e . in its checkout",
        )
        return
    wrong = list(examine_needs(wanted, asked=solutions is not None))
    yield from wrong
    if not wrong:
        main = ", ".join(f"{name} {installed(name)}" for name in ("pyspark", "torch", "pandas", "pyarrow"))
        extras = sorted({need.solution for need in wanted if need.solution})
        complete = f", and all that {' and '.join(extras)} asks for" if extras else ""
        yield ok("packages", f"{main}{complete}")


def examine_needs(wanted: Sequence[Need], *, asked: bool) -> Iterator[Finding]:
    """Packages that are missing or do not fit; `asked`: by name, so that a missing extra is a failure."""
    versions = {need: installed(need.name) for need in wanted}
    missing = [need for need, version in versions.items() if version is None]
    base = [need for need in missing if asked or need.solution is None]
    extra = [need for need in missing if need not in base]
    if base:
        yield failure("packages", f"missing: {', '.join(need.name for need in base)}", _install(base))
    if extra:
        for_whom = " and ".join(sorted({str(need.solution) for need in extra}))
        names = ", ".join(need.name for need in extra)
        yield warning("packages", f"missing, for some of {for_whom}: {names}", _install(extra))
    unfit = [need for need, version in versions.items() if version is not None and not need.fits(version)]
    if unfit:
        found = ", ".join(f"{need.name} {versions[need]}" for need in unfit)
        yield failure("packages", f"not the versions that are needed: {found}", _install(unfit))


def _install(missing: Sequence[Need]) -> str:
    return f"{sys.executable} -m pip install {' '.join(need.wanted for need in missing)}"


def examine_disk(room: dict[str, Any], where: str = "") -> Iterator[Finding]:
    """A folder that must be writable and have room; `where`: on which worker."""
    name = f"{where}{room['name']}"
    variable = CACHE_VARIABLE if room["name"] == "cache" else "TMPDIR"
    if room["error"]:
        advice = (
            f"set {variable} to a folder that {'each worker' if where else os.environ.get('USER', 'you')} can write"
        )
        yield failure(name, f"{room['path'] or 'there is none'}: {room['error']}", advice)
    elif room["free"] < FREE_BYTES:
        yield warning(
            name,
            f"{room['path']} has {gib(room['free'])} left",
            f"make room, or set {variable} to a folder on a larger disk",
        )
    else:
        yield ok(name, f"{room['path']}, {gib(room['free'])} free")


def gib(count: float) -> str:
    """Bytes as people read them.

    >>> gib(3 << 29)
    '1.5 GiB'
    """
    return f"{count / (1 << 30):,.1f} GiB"
