"""What the workers' answers mean: the paths they see, their disks, memory and GPUs, and how many tasks run at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from brightspark.core.doctor_driver import examine_disk, gib
from brightspark.core.doctor_session import is_true
from brightspark.core.doctor_workers import (
    MEET_SECONDS,
    SLOT_SECONDS,
    Facts,
    by_host,
    meet,
    probing_tasks,
    said,
    slots,
    where,
)
from brightspark.core.errors import one_line
from brightspark.core.findings import Finding, failure, many, ok, warning

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TASK_BYTES = 1 << 30  # torch, a small network and its batches, and the Arrow batches on their way


def examine_paths(workers: Sequence[Facts], kind: str, asked: Sequence[str], advice: str) -> Iterator[Finding]:
    """The paths that workers have to see (`readable`) or to write into (`writable`)."""
    checked = [one for one in workers if kind in one]
    if len(checked) < len(workers) and asked:
        found = f"not checked where brightspark cannot be used: {', '.join(asked)}"
        yield warning(f"{kind} path", found, "mend the workers' packages first")
    for path in asked if checked else ():
        refused = said(workers, partial(_refusal, kind, path))
        for those, error in refused:
            named = error if path in error else f"{path}: {error}"
            yield failure(f"{kind} path", f"{named}, on {those}", advice)
        if not refused:
            yield ok(f"{kind} path", f"{path}, on {where(checked, workers)}")


def _refusal(kind: str, path: str, one: Facts) -> str | None:
    said: str | None = one.get(kind, {}).get(path)
    return said


def examine_disks(workers: Sequence[Facts]) -> Iterator[Finding]:
    """The workers' cache and temporary folders, each place once."""
    seen: set[str] = set()
    for one in workers:
        for room in one.get("disk", ()):
            for finding in examine_disk(room, where="worker "):
                place = f"{finding.check} {one['host']} {room['path']}"
                if place not in seen:
                    yield (
                        finding if not finding.advice else replace(finding, found=f"on {one['host']}, {finding.found}")
                    )
                seen.add(place)


def examine_memory(workers: Sequence[Facts], facts: Sequence[Facts]) -> Iterator[Finding]:
    """What each task has of its host's memory when all slots are taken."""
    for host, those in by_host(workers).items():
        memory = min((one["memory"] for one in those if "memory" in one), default=None)
        tasks = slots([one for one in facts if one["host"] == host])
        if memory is None or not tasks:
            continue
        found = f"{gib(memory)} on {host} for the JVM and {many(tasks, 'task')} at once"
        if memory / tasks < TASK_BYTES:
            yield warning(
                "worker memory", found, "use fewer cores per executor, or raise spark.executor.memoryOverhead"
            )
        else:
            yield ok("worker memory", found)


def examine_gpus(workers: Sequence[Facts], facts: Sequence[Facts]) -> Iterator[Finding]:
    """Whether torch sees the GPUs, and whether each task has its own."""
    for host, those in by_host(workers).items():
        gpus = max(one["torch"]["gpus"] for one in those)
        devices = max(one["torch"]["devices"] for one in those)
        tasks = slots([one for one in facts if one["host"] == host])
        given = any(one["gpus"] for one in those)
        if devices and not gpus:
            yield warning(
                "GPUs",
                f"{host} has {many(devices, 'GPU')}, but torch sees none",
                "install a torch that was built for CUDA, and check NVIDIA's driver and CUDA_VISIBLE_DEVICES",
            )
        elif gpus and not given:
            yield warning(
                "GPUs",
                f"{many(tasks, 'task')} at once share {many(gpus, 'GPU')} on {host}: Spark gives none its own",
                "set spark.executor.resource.gpu.amount, its discoveryScript and spark.task.resource.gpu.amount=1",
            )
        elif gpus:
            yield ok("GPUs", f"{many(gpus, 'GPU')} on {host}, given to tasks by Spark")
    if not any(one["torch"]["gpus"] or one["torch"]["devices"] for one in workers):
        yield ok("GPUs", "none on the workers: models run on the processors")


def examine_ranks(spark: SparkSession, facts: Sequence[Facts], ranks: int) -> Finding:
    """Whether the ranks of a distributed training would start together."""
    dynamic = is_true(spark, "spark.dynamicAllocation.enabled")
    there = slots(facts)
    if there < ranks and not dynamic:
        return failure(
            "slots",
            f"at most {many(there, 'slot')} were free within {SLOT_SECONDS:g} s, but {ranks} ranks must start "
            "together; training would look hung",
            "wait until other jobs are done, which may hold the rest; if there are none, train with "
            f"{many(there, 'rank')}, or give Spark more cores; --ranks 0 checks for scoring only",
        )
    try:
        meet(spark, ranks)
    except TimeoutError:
        return failure(
            "slots",
            f"{ranks} barrier tasks did not start together within {MEET_SECONDS:g} s",
            "wait until other jobs are done, or train with fewer ranks",
        )
    except Exception as error:  # Spark's, py4j's or gRPC's
        if "dynamic" in str(error).lower():
            return failure(
                "slots",
                "dynamic allocation is on: training's ranks cannot start together",
                "set spark.dynamicAllocation.enabled=false and spark.executor.instances; "
                "--ranks 0 checks for scoring only",
            )
        return failure("slots", f"a barrier job failed: {one_line(error, limit=500)}", "look into the executors' logs")
    seen = f"{'at least ' if there >= probing_tasks(spark, ranks) else ''}{many(there, 'slot')} free"
    return ok("slots", f"{seen}, {many(ranks, 'rank')} started together")
