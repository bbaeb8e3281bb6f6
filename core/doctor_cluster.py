"""What the workers' answers mean: which Python and packages they have, and why they may not answer at all."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

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
from brightspark.core.requirements import Need, installed

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
    yield from examine_paths(workers, "readable", "give it to every worker by the same path, or use shared storage")
    yield from examine_paths(workers, "writable", "let the workers' user write there, or name another folder")
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
    wrong = [finding for need in wanted if need.on_workers for finding in examine_package(workers, need)]
    yield from wrong
    for name, error in said(workers, lambda one: one["torch"]["error"] if one["packages"].get("torch") else None):
        yield failure("worker packages", f"torch cannot be imported on {name}: {error}", "install it anew there")
    broken = said(workers, lambda one: one["error"] if not wrong else None)
    for name, error in broken:
        yield failure(
            "worker packages", f"brightspark cannot be imported on {name}: {error}", "install brightspark there as here"
        )
    if not wrong and not broken:
        yield ok("worker packages", "as they are needed, and as here")


def examine_package(workers: Sequence[Facts], need: Need) -> Iterator[Finding]:
    """A package that some workers lack, or have in a version that does not fit or is not this process's."""

    def version(one: Facts) -> str | None:
        found: str | None = one["pyspark"] if need.name == "pyspark" else one["packages"].get(need.name)
        return found

    here = installed(need.name)
    for found, those in grouped(workers, version).items():
        install = f"{those[0]['executable']} -m pip install {need.wanted}"
        place = where(those, workers)
        if found is None and here is not None:
            yield failure("worker packages", f"{need.name} is missing on {place}", install)
        elif found is not None and not need.fits(found):
            wanted = need.requirement.specifier
            yield failure(
                "worker packages", f"{need.name} {found} on {place} does not fit {need.name}{wanted}", install
            )
        elif found is not None and here is not None and minor(found) != minor(here):
            same = f"{those[0]['executable']} -m pip install '{need.name}=={here}'"
            yield warning("worker packages", f"{need.name} is {found} on {place}, {here} here", same)
