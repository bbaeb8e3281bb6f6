"""What doctor found, picked out and read; and environments made for it to examine."""

from __future__ import annotations

import json
import os
from pathlib import Path

from brightspark.core.findings import Finding, Level

ROOT = Path(__file__).parents[2]


def of(findings: list[Finding], check: str) -> Finding:
    """The one finding of a check."""
    (one,) = [finding for finding in findings if finding.check == check]
    return one


def failures(findings: list[Finding]) -> list[str]:
    return [str(finding) for finding in findings if finding.level is Level.FAILURE]


def parsed(output: str) -> list[Finding]:
    """The findings in the last line of an output."""
    return [Finding(**{**one, "level": Level(one["level"])}) for one in json.loads(output.splitlines()[-1])]


def clean(**environment: str) -> dict[str, str]:
    """The environment without what a launcher or a test has set for Spark."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK", "PYSPARK", "JAVA"))}
    return {**kept, **environment}


def install_metadata(folder: Path, name: str, version: str) -> None:
    """What pip leaves of an installed package, without the package."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def java(folder: Path, says: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    (folder / "bin" / "java").chmod(0o755)
    return folder
