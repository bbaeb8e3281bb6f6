"""What a Spark session says of itself: its kind, its version, and settings that make jobs slow or fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightspark.core.findings import Finding, failure, ok, warning
from brightspark.core.requirements import Need, release_of
from brightspark.core.session import ARROW_BATCH_BYTES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REACH_SECONDS = 10.0  # for a Connect server to answer
_ARROW_BYTES = "spark.sql.execution.arrow.maxBytesPerBatch"
_IGNORE_TLS = "pytorch.spark.distributor.ignoreSsl"


def examine_session(spark: SparkSession, pyspark: Need | None, *, training: bool) -> Iterator[Finding]:
    """Version, kind and settings; `pyspark` is what brightspark asks of Spark's version."""
    yield examine_version(spark, pyspark)
    yield from examine_settings(spark)
    if training:
        yield from examine_encryption(spark)


def examine_version(spark: SparkSession, pyspark: Need | None) -> Finding:
    """Spark's version against brightspark's needs and this process's pyspark, and where it runs."""
    from pyspark import __version__
    from pyspark.sql.utils import is_remote

    server, client = minor(spark.version), minor(__version__)
    connect = is_remote()
    where = f"{'Spark Connect to ' if connect else ''}{conf(spark, 'spark.master') or 'a server'}"
    if pyspark is not None and not pyspark.fits(spark.version):
        wanted = pyspark.requirement.specifier
        return failure("Spark", f"{spark.version} ({where}); brightspark needs {wanted}", f"run on a Spark {wanted}")
    if server < client or (server != client and not connect):
        report = warning if connect else failure
        return report(
            "Spark",
            f"{spark.version} ({where}), but pyspark here is {__version__}",
            f"pip install 'pyspark=={release_of(spark.version)}'",
        )
    return ok("Spark", f"{spark.version}, {where}")


def examine_settings(spark: SparkSession) -> Iterator[Finding]:
    """Settings that make scoring slow or hungry."""
    if not is_true(spark, "spark.python.worker.reuse", default=True):
        yield warning(
            "worker reuse",
            "spark.python.worker.reuse is off: each task loads the model again",
            "set spark.python.worker.reuse=true where the session is started",
        )
    if is_true(spark, "spark.speculation"):
        yield warning(
            "speculation",
            "spark.speculation is on: slow tasks are started twice, and their rows scored twice",
            "set spark.speculation=false where the session is started",
        )
    limit = conf(spark, _ARROW_BYTES)
    if limit is not None and not 0 < _bytes(limit) <= 8 * ARROW_BATCH_BYTES:
        yield warning(
            "Arrow batches",
            f"{_ARROW_BYTES} is {limit}: a batch of images may not fit into a worker's memory",
            f"spark.conf.set({_ARROW_BYTES!r}, '{ARROW_BATCH_BYTES}')",
        )


def examine_encryption(spark: SparkSession) -> Iterator[Finding]:
    """Training's own traffic under a cluster that encrypts: TorchDistributor refuses TLS unless told."""
    if is_true(spark, "spark.ssl.enabled") and not is_true(spark, _IGNORE_TLS):
        yield failure(
            "TLS",
            "spark.ssl.enabled is on: training refuses to start, since its ranks talk unencrypted",
            f"if the nodes' network is private, set {_IGNORE_TLS}=true; --ranks 0 checks for scoring only",
        )
    elif any(is_true(spark, name) for name in ("spark.ssl.enabled", "spark.network.crypto.enabled")):
        yield warning(
            "encryption",
            "Spark encrypts its traffic, but training's ranks talk unencrypted to each other",
            "train on a private network only; --ranks 0 checks for scoring only",
        )


def answers(address: str) -> bool:
    """Whether a Connect server can be reached. Its client would try for ten minutes, and again when Python ends."""
    import grpc  # type: ignore[import-untyped]
    from pyspark.sql.connect.client import DefaultChannelBuilder

    try:
        with DefaultChannelBuilder(address).toChannel() as channel:
            grpc.channel_ready_future(channel).result(timeout=REACH_SECONDS)
    except (grpc.FutureTimeoutError, ValueError):  # ValueError: no address at all
        return False
    return True


def without_token(address: str) -> str:
    """A Connect server's address without what may stand behind it, as `sc://HOST:PORT/;token=…` or mistyped.

    >>> without_token("sc://host:443/;token=x"), without_token("sc://host;token=x"), without_token("sc://host?token=x")
    ('sc://host:443', 'sc://host', 'sc://host')
    """
    return "sc://" + re.split("[/;?]", address.removeprefix("sc://"))[0]


def conf(spark: SparkSession, name: str) -> str | None:
    """A setting; None where it is unset, or where a managed service does not tell."""
    from pyspark.errors import PySparkException

    try:
        return spark.conf.get(name, None)
    except PySparkException:
        return None


def minor(version: str) -> tuple[int, ...]:
    """Major and minor number of a version.

    >>> minor("2.14.1+cu128")
    (2, 14)
    """
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def is_true(spark: SparkSession, name: str, *, default: bool = False) -> bool:
    """Whether a setting is on."""
    return (conf(spark, name) or str(default)).strip().lower() == "true"


def _bytes(size: str) -> int:
    """Spark's way to write sizes: `-1`, `67108864`, `64m`, `1gb`."""
    match = re.fullmatch(r"\s*(-?\d+)\s*([kmgtp]?)b?\s*", size.lower())
    if match is None:
        return -1
    return int(match[1]) << 10 * ["", "k", "m", "g", "t", "p"].index(match[2])
