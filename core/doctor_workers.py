"""Asks the workers: the probe as a Spark job, stopped when it takes too long."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from brightspark.core import doctor_probe
from brightspark.core.interrupt import Jobs
from brightspark.core.session import partitions

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Facts = dict[str, Any]

START_SECONDS = 120.0  # a cluster may have to start its executors first
SLOT_SECONDS = 10.0  # within which as many tasks as ranks must run at once
MEET_SECONDS = 30.0  # for a barrier job whose slots were seen to be there
STOP_SECONDS = 5.0  # for a job that was stopped to say so
HOLD_SECONDS = 0.5  # how long a probing task holds its slot, so that others start beside it
NAMED_HOSTS = 3
TASKS, MAX_TASKS = 8, 64  # so that each of many executors gets some, and a small session is done in seconds


def ask(spark: SparkSession, asked: dict[str, Any], *, ranks: int) -> list[Facts]:
    """What the workers' processes are and have, an entry a process; asked again until `ranks` tasks have run at once.

    Raises TimeoutError where no task ends within START_SECONDS, and what Spark raises where its workers cannot start.
    """
    facts = _round(spark, asked, ranks)
    until = time.monotonic() + SLOT_SECONDS
    while slots(facts) < ranks and time.monotonic() < until:  # executors may still be registering
        facts += _round(spark, asked, ranks)
    return facts


def _round(spark: SparkSession, asked: dict[str, Any], ranks: int) -> list[Facts]:
    from pyspark import cloudpickle
    from pyspark.sql import functions as F

    question = {**asked, "round": uuid.uuid4().hex, "hold_seconds": HOLD_SECONDS}
    look = doctor_probe.look
    tasks = probing_tasks(spark, ranks)

    def probe(_: int) -> str:
        return look(question)

    def run(session: SparkSession) -> list[Facts]:
        # Without Arrow: a worker that lacks pyarrow is to say so.
        udf = F.udf(probe, "string", useArrow=False)
        answered = session.range(0, tasks, 1, tasks).select(udf("id").alias("facts")).collect()
        return [json.loads(row["facts"]) for row in answered if row["facts"]]

    cloudpickle.register_pickle_by_value(doctor_probe)  # type: ignore[no-untyped-call]
    try:
        return within(spark, START_SECONDS, run)
    finally:
        cloudpickle.unregister_pickle_by_value(doctor_probe)  # type: ignore[no-untyped-call]


def probing_tasks(spark: SparkSession, ranks: int) -> int:
    """How many tasks ask at once; where all of them overlap, there may be more slots than were seen."""
    return max(ranks, min(max(TASKS, partitions(spark)), MAX_TASKS))


def slots(facts: Iterable[Facts]) -> int:
    """How many tasks were seen to run at once: the most on each host, by its own clock, summed over the hosts."""
    hosts: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for one in facts:
        hosts[one["host"]] += [(one["started"], 1), (one["ended"], -1)]
    total = 0
    for changes in hosts.values():
        running = most = 0
        for _, change in sorted(changes):
            running += change
            most = max(most, running)
        total += most
    return total


def meet(spark: SparkSession, ranks: int) -> None:
    """Runs a barrier job, as distributed training does: `ranks` tasks that wait for each other.

    Ask only where there are that many slots: a barrier job that lacks some is not stopped but tried again by Spark,
    every 15 seconds for ten minutes. Raises TimeoutError after MEET_SECONDS, and what Spark raises.
    """

    def wait(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import BarrierTaskContext

        BarrierTaskContext.get().barrier()
        yield from batches

    def run(session: SparkSession) -> None:
        session.range(0, ranks, 1, ranks).mapInArrow(wait, "id long", barrier=True).collect()

    within(spark, MEET_SECONDS, run)


def within(spark: SparkSession, seconds: float, action: Callable[[SparkSession], T]) -> T:
    """What an action returns; TimeoutError, and no job left, where it takes longer than `seconds`."""
    jobs = Jobs(spark)

    def run() -> T:
        with jobs.running() as session:
            return action(session)

    return limited(seconds, run, jobs.stop)


def limited(seconds: float, action: Callable[[], T], stop: Callable[[], object]) -> T:
    """What an action in a thread of its own returns; TimeoutError, after `stop`, where it takes longer."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(action())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        stop()
        thread.join(STOP_SECONDS)
        raise TimeoutError(f"no end within {seconds:g} s")
    if errors:
        raise errors[0]
    return results[0]


def by_host(workers: Iterable[Facts]) -> dict[str, list[Facts]]:
    """The answers of each host."""
    hosts: dict[str, list[Facts]] = defaultdict(list)
    for one in workers:
        hosts[one["host"]].append(one)
    return dict(hosts)


def grouped(workers: Iterable[Facts], key: Callable[[Facts], K]) -> dict[K, list[Facts]]:
    """The answers that have the same of something."""
    groups: dict[K, list[Facts]] = defaultdict(list)
    for one in workers:
        groups[key(one)].append(one)
    return dict(groups)


def said(workers: Sequence[Facts], key: Callable[[Facts], str | None]) -> list[tuple[str, str]]:
    """What went wrong, and on which hosts; nothing where `key` gives None."""
    return [(where(those, workers), text) for text, those in grouped(workers, key).items() if text is not None]


def where(those: Sequence[Facts], workers: Sequence[Facts]) -> str:
    """The hosts of some workers, few enough to read."""
    hosts, everywhere = sorted(by_host(those)), len(by_host(workers))
    if len(hosts) == everywhere:
        return "the workers" if everywhere == 1 else f"all {everywhere} hosts"
    named = ", ".join(hosts[:NAMED_HOSTS]) + (" …" if len(hosts) > NAMED_HOSTS else "")
    return f"{len(hosts)} of {everywhere} hosts ({named})"
