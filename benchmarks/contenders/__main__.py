"""One run of one contender, in this process: `python -m contenders NAME --images FOLDER … --out FILE`.

The seconds go to a file as JSON, since Spark and Ray talk on the standard output.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from contenders.job import Job
from contenders.table import CONTENDERS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m contenders")
    parser.add_argument("contender", choices=CONTENDERS)
    for name in ("images", "warm-up", "model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON")
    options = parser.parse_args()
    job = Job(images=options.images, warm_up=options.warm_up, model=options.model, cores=options.cores)
    timing = CONTENDERS[options.contender].run(job, options.settings)
    options.out.write_text(json.dumps(asdict(timing)))


if __name__ == "__main__":
    main()
