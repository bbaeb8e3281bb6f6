"""Texts a second of brightspark and its peers: `python benchmarks/score_text.py [--texts N] [--rounds N]`.

Half tweets, half newsgroup posts, cut at the 512 tokens that the model takes, classified by MiniLM with a random head;
the same Parquet files for all, answers dropped, start and loading left out. Every contender once a round, in
a fresh process.

    brightspark     TextClassifierModel.transform into a no-op write
    predict_batch   Spark's predict_batch_udf over texts padded to 512 tokens
    pipeline        transformers' pipeline, batches of 32 in file order, a process for each core, no Spark
    raw             sorted by length, batches of 2,048 tokens, a process for each core, no Spark
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import apart
import machine
from texts import data
from training import table

RESULT = Path(__file__).parent / "results" / "score_text.json"
CONTENDERS = ("brightspark", "predict_batch", "pipeline", "raw")
GOALS = {("brightspark", "predict_batch"): 4.0, ("brightspark", "pipeline"): 1.5, ("brightspark", "raw"): 0.9}
TEXTS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=TEXTS, help="another number: a look, not kept")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--float32", action="store_true", help="without bfloat16: a look, not kept")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS)
    options = parser.parse_args()
    described = machine.describe()
    print(machine.headline(described))
    folder, model = data.table(options.texts), data.checkpoint()
    padding: list[float] = []

    def rate(name: str) -> float:
        found = apart.call(
            f"texts.contenders:{name}", folder=str(folder), model=str(model), bfloat16=not options.float32
        )
        if "padding" in found:
            padding.append(found["padding"])
            print(f"  {found['stats']}")
        return float(found["rate"])

    names = options.only or CONTENDERS
    rates = table.rounds({name: partial(rate, name) for name in names}, options.rounds, "texts/s")
    goals = {pair: goal for pair, goal in GOALS.items() if set(pair) <= set(names)}
    found = table.judged(rates, "texts/s", goals)
    if padding:
        print(f"padding: {max(padding):.1%} of the tokens, goal 5 %: {'met' if max(padding) <= 0.05 else 'SHORT'}")
    if options.texts == TEXTS and not options.float32 and not options.only:
        RESULT.write_text(json.dumps({"machine": described, "padding": padding, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
