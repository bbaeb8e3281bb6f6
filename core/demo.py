"""The demo: every solution's main job on real data, one section each in one report."""

from __future__ import annotations

import json
import platform
import sys
import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from brightspark.core import report
from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.session import session
from brightspark.core.solutions import load, solutions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SHOWN_VERSIONS = ("brightspark", "pyspark", "torch", "timm", "transformers", "torchaudio", "implicit")


def run_demo(out: Path, *, only: list[str] | None = None, full: bool = False, as_json: bool = False) -> Path:
    """Runs the sections of every solution that has a `demo.py`, and writes `out`/index.html.

    A `demo.py` names them in SECTIONS: what each is called, and a function of the session and of a function that
    tells a person how far it is, which returns a `report.Section`. With `full`, those that it names in FULL_SECTIONS
    too take the place of theirs.

    A section that fails is shown with its reason while the others go on; then the exit code is 1.
    Raises InputError for a solution that has no demo.
    """
    names = only or solutions("demo")
    for name in names:
        if name not in solutions("demo"):
            raise InputError(f"there is no demo of {name!r}; {did_you_mean(name, solutions('demo'))}")
    started = time.perf_counter()
    _say("starting Spark")
    spark = session("brightspark demo")
    sections = []
    for name in names:
        demo = load(name, "demo")
        for part, build in (demo.SECTIONS | (getattr(demo, "FULL_SECTIONS", {}) if full else {})).items():
            _say(f"{part}: running")
            sections.append(report.run(part, partial(build, spark, _say)))
            _say(f"{part}: {sections[-1].failure or 'done'} in {sections[-1].seconds:.0f} s")
    page = report.write(out / "index.html", sections, title="brightspark", context=_context(spark))
    failed = [section.title for section in sections if section.failure]
    if as_json:
        print(json.dumps({"report": str(page), "failed": failed}))  # noqa: T201
    _say(f"the report is {page.resolve()} ({time.perf_counter() - started:.0f} s)")
    if failed:
        sys.exit(1)
    return page


def _say(message: str) -> None:
    print(f"brightspark demo: {message}", file=sys.stderr, flush=True)  # noqa: T201


def _context(spark: SparkSession) -> dict[str, object]:
    versions = []
    for name in _SHOWN_VERSIONS:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Spark": f"{spark.version}, {spark.conf.get('spark.master', 'remote')}",
        "Machine": f"{_processor()}, Python {platform.python_version()}",
        "Versions": ", ".join(versions),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.machine()
