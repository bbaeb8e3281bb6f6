"""Checks an environment and says what to mend, before a long job finds out: `brightspark doctor`.

| module | what it looks at |
| --- | --- |
| `doctor_driver` | this process: Java, Python, packages, disks |
| `doctor_session` | Spark's version and settings |
| `doctor_workers` | the jobs that ask the workers; `doctor_probe` and `doctor_storage` are what runs there |
| `doctor_cluster`, `doctor_resources` | what the workers' answers mean |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from brightspark.core.doctor_driver import examine_driver, examine_java
from brightspark.core.errors import SettingError, one_line
from brightspark.core.findings import Finding, Level, failure
from brightspark.core.requirements import Need, check_solutions, installed, installed_solutions, needs
from brightspark.core.session import active, launched, session
from brightspark.core.storage import absolute

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RANKS = 2  # the smallest number that is distributed


def examine(
    spark: SparkSession | None = None,
    *,
    solutions: Sequence[str] | None = None,
    paths: Sequence[str] = (),
    writable: Sequence[str] = (),
    ranks: int = RANKS,
) -> list[Finding]:
    """Everything that was checked, in order; without a session, in the active one or a local one that is built.

    `solutions` are those whose packages must be there (default: those that are installed), `paths` are what the
    workers must be able to read, `writable` folders that they must be able to write into, and `ranks` how many
    processes of a distributed training must start together (0: leave out what only training needs).

    It takes seconds, and a minute where no worker answers.
    Raises SettingError for an unknown solution and for negative ranks.

    >>> for finding in examine(spark, paths=["s3://bucket/photographs"]):  # doctest: +SKIP
    ...     print(finding)
    """
    return list(checks(spark, solutions=solutions, paths=paths, writable=writable, ranks=ranks))


def checks(
    spark: SparkSession | None,
    *,
    solutions: Sequence[str] | None,
    paths: Sequence[str],
    writable: Sequence[str],
    ranks: int,
) -> Iterator[Finding]:
    """The findings of `examine`, one after the other as they are made."""
    if ranks < 0:
        raise SettingError(f"ranks={ranks} must be 0 or more")
    if solutions is not None:
        check_solutions(solutions)
    yield from examine_driver(solutions)
    if installed("pyspark") is None:
        return
    if spark is None and not launched() and active() is None:
        java = examine_java()
        yield java
        if java.level is Level.FAILURE:
            return
    try:
        # Its log would tell in pages of Java what a finding tells in a line.
        spark = spark or session("brightspark doctor", **{"spark.log.level": "OFF"})
    except Exception as error:  # a server that is away, a JVM that dies: Spark's, py4j's or gRPC's
        yield failure("Spark", f"no session: {one_line(error, limit=500)}", "mend that first; nothing else was checked")
        return
    from brightspark.core.doctor_cluster import examine_cluster
    from brightspark.core.doctor_session import examine_session

    wanted = _needs(solutions)
    pyspark = next((need for need in wanted if need.name == "pyspark"), None)
    yield from examine_session(spark, pyspark, training=ranks > 0)
    yield from examine_cluster(
        spark, wanted, paths=list(map(absolute, paths)), writable=list(map(absolute, writable)), ranks=ranks
    )


def _needs(solutions: Sequence[str] | None) -> list[Need]:
    try:
        return needs(installed_solutions() if solutions is None else solutions)
    except metadata.PackageNotFoundError:
        return []
