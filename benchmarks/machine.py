"""The machine and the libraries that a benchmark ran on, so that no number stands without them."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "brightspark",
    "pyspark",
    "torch",
    "timm",
    "transformers",
    "pillow",
    "pyarrow",
    "pandas",
    "numpy",
    "implicit",
    "scipy",
    "ray",
    "mlflow",
)


def describe() -> dict[str, object]:
    """Processor, cores, memory (GiB), load, system, versions and commit, as they are now."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "bfloat16_instructions": "avx512_bf16" in _cpu_info("flags").split(),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "commit": commit(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def headline(machine: dict[str, object]) -> str:
    """One line that names the machine."""
    versions = machine["versions"]
    assert isinstance(versions, dict)
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"load {machine['load_average']}, Python {machine['python']}, {libraries}"
    )


def _cpu_info(key: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _cpu_model() -> str:
    model = _cpu_info("model name") or platform.processor()
    family, number = _cpu_info("cpu family"), _cpu_info("model")
    return f"{model} (family {family}, model {number})" if family else model


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The checkout's commit, marked when files differ from it; None outside a checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
