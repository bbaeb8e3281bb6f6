"""Images per second of brightspark, of the plain loop, and of its peers, from the same JPEGs to a no-op write.

    python benchmarks/score_images.py                  # everything: hours; interrupt it, call it again, it goes on
    python benchmarks/score_images.py --minutes 50     # starts no run after 50 minutes; the next call goes on
    python benchmarks/score_images.py --images 120 --rounds 1 --as-listed    # a small, noisy look
    python benchmarks/score_images.py --fresh          # drops the rounds measured so far, keeps the settings chosen

First every contender's settings are tried once, on a quarter of the images, and the fastest are kept. Then come
rounds in which every contender runs once, each in a fresh process. A contender is judged by the median of its
ratios, round by round. Runs are kept in `results/score_images.partial.json` per model, tables in
`results/score_images.json`.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import goals
import images
import machine
from contenders.job import Job
from contenders.table import CONTENDERS
from rounds import Deadline, Record, choose, run_rounds

RESULTS = Path(__file__).parent / "results"
WARM_UP = 128  # images: two batches of 64


def main() -> int:
    """Measure, print and keep; the exit code is 1 when a contender failed."""
    options = arguments()
    described = machine.describe()
    print(machine.headline(described))
    deadline = Deadline.after(options.minutes)
    contenders = {name: CONTENDERS[name] for name in CONTENDERS if not options.only or name in options.only}
    failed: list[str] = []
    for model in options.model or goals.IMAGES:
        count = options.images or goals.IMAGES[model]
        record = Record.open(RESULTS / f"score_images-{model}-{count}.partial.json")
        if options.fresh:
            record.runs.clear()
        job = make_job(model, count)
        if options.as_listed:
            for name, contender in contenders.items():
                record.choices.setdefault(name, {"settings": dict(contender.choices[0]), "tried": []})
        choose(record, contenders, make_job(model, max(1, count // 4)), deadline, _say)
        failed += run_rounds(record, list(contenders), job, options.rounds, deadline, _say)
        print("\n" + goals.as_text(model, count, record) + "\n")
        if count == goals.IMAGES[model]:
            keep(model, record, described)
    return 1 if failed else 0


def make_job(model: str, count: int) -> Job:
    """The images and the model, made if they are not there yet, for all the cores that this process may use."""
    return Job(
        images=images.image_folder(count),
        warm_up=images.image_folder(WARM_UP, seed=images.SEED + 1),
        model=images.model_folder(model),
        cores=len(os.sched_getaffinity(0)),
    )


def keep(model: str, record: Record, described: dict[str, object]) -> None:
    """Put what is known of `model` into results/score_images.json, beside the other models."""
    path = RESULTS / "score_images.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[model] = {
        "machine": described,
        "images": goals.IMAGES[model],
        "table": goals.summary(record),
        "goals": goals.judged(record, model),
        "choices": record.choices,
        "runs": [{name: run[name] for name in run if name != "answers"} for run in record.runs],
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minutes", type=float, help="start no run after so many minutes")
    parser.add_argument("--model", nargs="+", choices=goals.IMAGES, help="by default both")
    parser.add_argument("--images", type=int, help="another number of images: kept apart from the real runs")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="run these contenders only")
    parser.add_argument("--fresh", action="store_true", help="drop the rounds measured so far")
    parser.add_argument("--as-listed", action="store_true", help="try no settings, take each contender's first")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
