"""The Spark session to work in: the one that is active, or a local one that is right for this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from brightspark.core.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ARROW_BATCH_ROWS = 1_000
ARROW_BATCH_BYTES = 64 << 20  # images of 5 MB by the ten thousand (Spark's default rows) would not fit into a worker
TASKS_PER_CORE = 4  # partitions of a listing or a shuffle: enough for even ends, few enough to stay cheap

JAVA_ADVICE = "Spark runs on Java 17 or 21: `apt-get install openjdk-17-jre-headless`, or set JAVA_HOME to one"

_LOGGING = Path(__file__).with_name("log4j2.properties")

# A launcher (spark-submit, a notebook on a cluster, Spark Connect) has chosen the session: nothing is to be set here.
_LAUNCHED = ("PYSPARK_GATEWAY_PORT", "SPARK_REMOTE", "DATABRICKS_RUNTIME_VERSION")

# Where a container's bound on memory stands, by cgroup version 2 and 1.
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def session(app: str = "brightspark", **conf: str) -> SparkSession:
    """The active Spark session: a notebook's, a cluster's, Connect's; or else a new local one.

    A local session runs its workers with this Python (or PYSPARK_PYTHON, where that is set), gives the driver a quarter
    of the machine's memory, bounds Arrow batches in rows and bytes, and listens on the loopback interface only. Where
    PYSPARK_SUBMIT_ARGS or spark-defaults.conf name a master, it is that master's session, and only `conf` is set.
    `conf` is further Spark configuration for a session that is built here (`session(**{"spark.local.dir": "/fast"})`);
    an active session is left as it is.

    Raises SetupError where there is no Java that Spark can run on.
    """
    from pyspark.sql import SparkSession

    found = active()
    if found is not None:
        return found  # the builder would change the configuration of a session it finds
    builder = SparkSession.builder.appName(app)
    if not launched():
        check_java()
        if not has_master():
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            conf = {**local_conf(), **conf}
        for name, value in conf.items():
            builder = builder.config(name, value)
    return builder.getOrCreate()


def active() -> SparkSession | None:
    """The active session of this process, in whichever thread it was made."""
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    try:
        return SparkSession.active()
    except PySparkRuntimeError:
        return None


def launched() -> bool:
    """Whether a launcher has chosen the session, and with it Java, the master and the workers' Python."""
    return any(name in os.environ for name in _LAUNCHED)


def has_master() -> bool:
    """Whether spark-submit, which pyspark starts, gets a master from its arguments or from spark-defaults.conf."""
    import pyspark

    arguments = os.environ.get("PYSPARK_SUBMIT_ARGS", "")
    if re.search(r"(^|\s)--master[\s=]|\bspark\.master=", arguments):
        return True
    home = os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent
    defaults = Path(os.environ.get("SPARK_CONF_DIR") or Path(home, "conf"), "spark-defaults.conf")
    try:
        return bool(re.search(r"^\s*spark\.master[\s=:]", defaults.read_text(encoding="utf-8"), re.MULTILINE))
    except OSError:
        return False


def local_conf(cores: int | None = None) -> dict[str, str]:
    """The configuration of a local session on this machine."""
    cores = cores or len(os.sched_getaffinity(0))
    gigabytes = memory_bytes() >> 30
    return {
        "spark.master": f"local[{cores}]",
        "spark.driver.memory": f"{min(max(gigabytes // 4, 1), 16)}g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.showConsoleProgress": "false",
        # A URI: options are parted at blanks, which a checkout's path may hold.
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
        "spark.log.level": "ERROR",
        "spark.sql.shuffle.partitions": str(TASKS_PER_CORE * cores),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_BATCH_ROWS),
        "spark.sql.execution.arrow.maxBytesPerBatch": str(ARROW_BATCH_BYTES),
    }


def partitions(spark: SparkSession) -> int:
    """Into how many tasks a listing or a small table is cut: what `spark.sql.shuffle.partitions` says."""
    return int(spark.conf.get("spark.sql.shuffle.partitions", "200") or 200)


def memory_bytes() -> int:
    """The memory this process may use: the machine's, or its container's where that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _MEMORY_LIMITS:
        try:
            limit = file.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if limit.isdigit():  # "max": there is none
            found.append(int(limit))
    return min(found)


def check_java() -> str:
    """The Java that Spark will run on, as it names itself: `openjdk version "17.0.15" 2025-04-15`.

    Raises SetupError where no Java 17 or newer is found, with what to install.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        raise SetupError(f"no Java was found{f' at JAVA_HOME={home}' if home else ''}. {JAVA_ADVICE}")
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    except OSError as error:
        raise SetupError(f"{java} cannot be run ({error.strerror}). {JAVA_ADVICE}") from error
    match = re.search(r'version "(\d+)', said)
    if match is None or int(match.group(1)) < 17:
        found = said.splitlines()[0] if said else "it says nothing"
        raise SetupError(f"{java} is too old for Spark ({found}). {JAVA_ADVICE}")
    return next(line for line in said.splitlines() if match.group() in line)  # not always the first: JAVA_TOOL_OPTIONS
