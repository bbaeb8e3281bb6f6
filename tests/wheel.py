"""Builds the wheel, and imports everything from it in an empty folder: what a user gets, without the checkout."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = """
import importlib, pkgutil, sys
import brightspark
assert brightspark.__file__.startswith(sys.argv[1]), brightspark.__file__
names = [m.name for m in pkgutil.walk_packages(brightspark.__path__, "brightspark.") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
wanted = {"core.score", "vision.model", "vision.app", "recsys.read", "speech.read", "samples.weights", "apps.frame"}
assert {f"brightspark.{name}" for name in wanted} <= set(names), names
print(f"{len(names)} modules imported from the wheel")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder)
        command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(empty / "dist"), str(ROOT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (wheel,) = (empty / "dist").glob("*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        assert "brightspark/py.typed" in names
        assert {"brightspark/core/report.html.jinja", "brightspark/core/report_blocks.html.jinja"} <= set(names)
        assert {"brightspark/apps/page.css", "brightspark/apps/page.js"} <= set(names)
        target = empty / "site"
        install = ["install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
        subprocess.run([sys.executable, "-m", "pip", *install], check=True)
        work = empty / "work"
        work.mkdir()
        # -P and a path of its own: neither the checkout nor the editable install may stand in.
        code = f"import sys; sys.path.insert(0, {str(target)!r})\n{CODE}"
        subprocess.run([sys.executable, "-P", "-c", code, str(target)], check=True, cwd=work)


main()
