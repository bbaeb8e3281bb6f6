"""What the workers' answers mean: which Python and packages they have, and why they may not answer at all."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from brightspark import __version__
from brightspark.core.doctor_resources import (
    examine_disks,
    examine_gpus,
    examine_memory,
    examine_paths,
    examine_ranks,
)
from brightspark.core.doctor_session import minor
from brightspark.core.doctor_workers import START_SECONDS, Facts, ask, grouped, said, where
from brightspark.core.errors import one_line
from brightspark.core.findings import Finding, failure, many, ok, warning
from brightspark.core.requirements import Need, installed, release_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PYTHON = "PYSPARK_PYTHON (or spark.pyspark.python) where the session or the Connect server is started"


def examine_cluster(
    spark: SparkSession, wanted: Sequence[Need], *, paths: Sequence[str], writable: Sequence[str], ranks: int
) -> Iterator[Finding]:
    """Asks the workers, and says what their answers mean."""
    packages = [need.name for need in wanted if need.on_workers and need.name != "pyspark"]
    asked = {"packages": packages, "paths": list(paths), "writable": list(writable)}
    try:
        facts = ask(spark, asked, ranks=ranks)
    except Exception as error:  # Spark's, py4j's or gRPC's
        yield explain(error)
        return
    workers = list({(one["host"], one["pid"]): one for one in facts}.values())
    yield examine_python(workers)
    yield from examine_packages(workers, wanted)
    yield from examine_paths(workers, "readable", paths, "give every worker the same path, or use shared storage")
    yield from examine_paths(workers, "writable", writable, "let the workers' user write there, or name another folder")
    yield from examine_disks(workers)
    yield from examine_memory(workers, facts)
    yield from examine_gpus(workers, facts)
    if ranks:
        yield examine_ranks(spark, facts, ranks)


def explain(error: BaseException) -> Finding:
    """Why the workers did not answer."""
    text = str(error)
    if isinstance(error, TimeoutError):
        return failure(
            "workers",
            f"no worker has answered within {START_SECONDS:g} s",
            "look into Spark's UI whether executors start, and ask for less memory, cores or GPUs for each",
        )
    here = ".".join(map(str, sys.version_info[:2]))
    match = re.search(r"different version: (\S+) than that in driver: ([\d.]+\d)", text)
    if match:
        return failure(
            "worker Python",
            f"the workers run Python {match[1]}, this process {match[2]}",
            f"set {_PYTHON} to a Python {here}",
        )
    match = re.search(r'Cannot run program "([^"]+)"', text)
    if match:
        return failure("worker Python", f"the workers cannot run {match[1]}", f"set {_PYTHON} to a Python {here}")
    return failure("workers", one_line(error, limit=500), "look into the executors' logs for the whole error")


def examine_python(workers: Sequence[Facts]) -> Finding:
    """Who answered."""
    hosts = sorted({one["host"] for one in workers})
    users = sorted({one["user"] for one in workers})
    pythons = sorted({f"{one['python']}, {one['executable']}" for one in workers})
    return ok("workers", f"{many(len(hosts), 'host')}, user {' and '.join(users)}, Python {'; '.join(pythons)}")


def examine_packages(workers: Sequence[Facts], wanted: Sequence[Need]) -> Iterator[Finding]:
    """The workers' packages, against what brightspark needs and what this process has."""
    needed = [need for need in wanted if need.on_workers]
    wrong = [
        *_packages(workers, needed, failure, "missing", _missing),
        *_packages(workers, needed, failure, "not the versions that are needed", _unfit),
        *_packages(workers, needed, warning, "not the versions of this process", _different),
    ]
    for place, error in said(workers, _broken):
        wrong.append(failure("worker packages", f"{error}, on {place}", "install it anew there, as it is here"))
    for place, version in said(workers, lambda one: one.get("brightspark")):
        if version != __version__:
            found = f"brightspark {version} on {place} (here {__version__})"
            wrong.append(warning("worker packages", found, "install the same version on both sides"))
    yield from wrong or [ok("worker packages", "as they are needed, and as here")]


def _packages(
    workers: Sequence[Facts],
    needed: Sequence[Need],
    report: Callable[[str, str, str], Finding],
    what: str,
    kind: Callable[[Facts, Need], tuple[str, str] | None],
) -> Iterator[Finding]:
    """One finding for all packages that are wrong in the same way on the same hosts."""

    def wrong(one: Facts) -> tuple[tuple[str, str], ...]:
        return tuple(filter(None, (kind(one, need) for need in needed)))

    for packages, those in grouped(workers, wrong).items():
        if packages:
            found = f"{what} on {where(those, workers)}: {', '.join(name for name, _ in packages)}"
            install = " ".join(specifier for _, specifier in packages)
            yield report("worker packages", found, f"there: {those[0]['executable']} -m pip install {install}")


def _missing(one: Facts, need: Need) -> tuple[str, str] | None:
    return (need.name, need.wanted) if _version(one, need) is None and installed(need.name) else None


def _unfit(one: Facts, need: Need) -> tuple[str, str] | None:
    version = _version(one, need)
    return None if version is None or need.fits(version) else (f"{need.name} {version}", need.wanted)


def _different(one: Facts, need: Need) -> tuple[str, str] | None:
    version, here = _version(one, need), installed(need.name)
    if version is None or here is None or not need.fits(version) or minor(version) == minor(here):
        return None
    return f"{need.name} {version} (here {here})", f"'{need.name}=={release_of(here)}'"


def _version(one: Facts, need: Need) -> str | None:
    found: str | None = one["pyspark"] if need.name == "pyspark" else one["packages"].get(need.name)
    return found


def _broken(one: Facts) -> str | None:
    """What is there but cannot be imported; what a package that is missing breaks is not said again."""
    if one["packages"].get("torch") and one["torch"]["error"]:
        return f"torch cannot be imported ({one['torch']['error']})"
    error: str | None = one["error"]
    told = None in one["packages"].values() and "ModuleNotFoundError" in str(error) and "'brightspark" not in str(error)
    return f"brightspark cannot be imported ({error})" if error and not told else None
