"""Checks an environment and says what to mend, before a long job finds out: `brightspark doctor`.

| module | what it looks at |
| --- | --- |
| `doctor_driver` | this process: Java, Python, packages, disks |
| `doctor_session` | Spark's version and settings |
| `doctor_workers` | the jobs that ask the workers; `doctor_probe` and `doctor_storage` are what runs there |
| `doctor_cluster`, `doctor_resources` | what the workers' answers mean |
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from brightspark.core.doctor_driver import examine_driver, examine_java
from brightspark.core.doctor_session import answers, examine_session, without_token
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
    """Everything that was checked, in order; without a session, in the active one or one that is built, and stopped.

    `solutions` are those whose packages must be there (default: those that are installed), `paths` are what the
    workers must be able to read, `writable` folders that they must be able to write into, and `ranks` how many
    processes of a distributed training must start together (0: leave out what only training needs).

    It takes seconds, and two minutes where no worker answers.
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
    own = spark is None and active() is None
    for finding in _before_session() if own else ():
        yield finding
        if finding.level is Level.FAILURE:
            return
    try:
        # Its log would tell in pages of Java what a finding tells in a line.
        spark = spark or session("brightspark doctor", **{"spark.log.level": "OFF"})
    except Exception as error:  # a JVM that dies, a master that is away: Spark's, py4j's or gRPC's
        yield failure("Spark", f"there is no session: {one_line(error, limit=500)}", "mend that first")
        return
    try:
        yield from _examine_spark(spark, _needs(solutions), paths=paths, writable=writable, ranks=ranks)
    finally:
        if own:  # a notebook is not to go on in a session that logs nothing
            spark.stop()


def _examine_spark(
    spark: SparkSession, wanted: Sequence[Need], *, paths: Sequence[str], writable: Sequence[str], ranks: int
) -> Iterator[Finding]:
    from brightspark.core.doctor_cluster import examine_cluster

    pyspark = next((need for need in wanted if need.name == "pyspark"), None)
    yield from examine_session(spark, pyspark, training=ranks > 0)
    yield from examine_cluster(
        spark, wanted, paths=list(map(absolute, paths)), writable=list(map(absolute, writable)), ranks=ranks
    )


def _before_session() -> Iterator[Finding]:
    """What would keep a session from being built, or let it hang."""
    address = os.environ.get("SPARK_REMOTE", "")
    if not launched():
        yield examine_java()
    elif address.startswith("sc://") and not answers(address):
        advice = "check that the server runs, that SPARK_REMOTE reads sc://HOST:PORT/;use_ssl=true, and firewalls"
        yield failure("Spark", f"{without_token(address)} does not answer", advice)


def _needs(solutions: Sequence[str] | None) -> list[Need]:
    try:
        return needs(installed_solutions() if solutions is None else solutions)
    except metadata.PackageNotFoundError:
        return []
