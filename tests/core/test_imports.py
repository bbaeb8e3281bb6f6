"""What may import what, and what library code never says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import brightspark
from brightspark.core.solutions import solutions

PARTS = {folder.name: folder for folder in Path(brightspark.__path__[0]).iterdir() if folder.is_dir()}
PARTS.pop("__pycache__", None)
SOLUTIONS = set(solutions("cli"))
FILES = [file for folder in PARTS.values() for file in sorted(folder.rglob("*.py"))]


def imported(file: Path) -> Iterator[str]:
    """The parts of brightspark that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("brightspark."))


def test_the_parts_are_found() -> None:
    assert {"core", "samples", "vision"} <= set(PARTS)
    assert {"vision"} <= SOLUTIONS
    assert len(FILES) > 30


@pytest.mark.parametrize("part", sorted(PARTS))
def test_core_imports_no_solution_and_no_solution_another(part: str) -> None:
    # samples turns a checkpoint into timm's layout by vision's own converter: deliberately, and nothing else.
    allowed = {"core", part} | ({"vision"} if part == "samples" else set())
    if part in SOLUTIONS:
        allowed |= {"samples", "apps"}
    for file in sorted(PARTS[part].rglob("*.py")):
        assert set(imported(file)) & set(PARTS) <= allowed, file


@pytest.mark.parametrize(("part", "users"), [("samples", ("demo", "app")), ("apps", ("app",))])
def test_only_demos_and_apps_use_samples_and_only_apps_their_frame(part: str, users: tuple[str, ...]) -> None:
    files = [file.name for solution in SOLUTIONS for file in PARTS[solution].rglob("*.py") if part in imported(file)]
    assert files
    assert all(name.startswith(users) for name in files), files


BLOCKED = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import {module}
"""


@pytest.mark.parametrize("module", ["brightspark", "brightspark.vision", "brightspark.core.score"])
def test_importing_needs_neither_spark_nor_torch(module: str) -> None:
    subprocess.run([sys.executable, "-c", BLOCKED.format(blocked=("pyspark", "torch"), module=module)], check=True)


@pytest.mark.parametrize("module", ["net", "predictor"])
def test_what_knows_torch_knows_no_spark(module: str) -> None:
    for part in sorted(SOLUTIONS):
        if (PARTS[part] / f"{module}.py").exists():
            code = BLOCKED.format(blocked=("pyspark",), module=f"brightspark.{part}.{module}")
            subprocess.run([sys.executable, "-c", code], check=True)


def test_help_answers_at_once() -> None:
    """Without Spark and torch. The benchmark holds it to half a second; here a busy machine may take longer."""
    code = BLOCKED.format(blocked=("pyspark", "torch"), module="brightspark.core.cli as cli")
    started = time.monotonic()
    said = subprocess.check_output(
        [sys.executable, "-c", f"{code}\nimport sys; sys.argv = ['x', '--help']; cli.main()"]
    )
    assert time.monotonic() - started < 5
    assert all(solution.encode() in said for solution in SOLUTIONS)


@pytest.mark.parametrize(
    ("forbidden", "why"),
    [
        (r"sparkContext|_jvm\b|_jsc\b|\.rdd\b", "it ends Spark Connect and streaming"),
        (r"\bpickle\.loads?\(|\btorch\.load\(|trust_remote_code\s*=\s*True", "it can run code"),
        (r"https?://(?!doi\.org/|arxiv\.org/)[a-z]", "hosts are the user's to name"),
    ],
)
def test_library_code_never_says(forbidden: str, why: str) -> None:
    found = [
        f"{file}:{number}"
        for file in FILES
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if re.search(forbidden, line) and not (file.name == "convert.py" and file.parent.name == "core")
    ]
    assert not found, why


def test_the_one_place_that_opens_pickles_takes_tensors_only() -> None:
    calls = re.findall(r"torch\.load\(.*\)", (PARTS["core"] / "convert.py").read_text())
    assert len(calls) == 1
    assert "weights_only=True" in calls[0]
