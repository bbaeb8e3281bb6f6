"""The command line of benchmarks that are made of parts, each of which is measured in rounds and kept by its name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import machine

Parts = Mapping[str, tuple[Callable[[int], dict[str, Any]], int]]
"""What measures a part in so many rounds, and its rounds."""


def main(doc: str | None, parts: Parts, result: Path) -> None:
    """Measures the parts that are named, or all, and keeps what each found; another number of rounds is a look."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; by default all")
    parser.add_argument("--rounds", type=int, help="another number of rounds: a look, not kept")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(parts):
        parser.error(f"{sorted(unknown)[0]!r} is none of {', '.join(parts)}")
    described = machine.describe()
    print(machine.headline(described))
    for name in options.parts or parts:
        print(f"\n{name}", flush=True)
        measure, rounds = parts[name]
        found = measure(options.rounds or rounds)
        if not options.rounds:
            kept = json.loads(result.read_text()) if result.exists() else {}
            kept[name] = {"machine": described, **found}
            result.parent.mkdir(exist_ok=True)
            result.write_text(json.dumps(kept, indent=1) + "\n")
