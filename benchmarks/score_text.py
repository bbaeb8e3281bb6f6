"""Texts a second of brightspark and its peers, from the same Parquet files to answers that are dropped, once warm.

    python benchmarks/score_text.py                        # everything: hours; interrupt it, call it again, it goes on
    python benchmarks/score_text.py --part translate       # one part
    python benchmarks/score_text.py --minutes 50           # starts no run after 50 minutes; the next call goes on
    python benchmarks/score_text.py --texts 2000 --rounds 1    # a small, noisy look: kept apart
    python benchmarks/score_text.py --fresh                # drops the rounds measured so far

Every contender runs once a round, each time in a fresh process, another one first in every round; start and loading are
left out. A contender is judged by the median of its ratios, round by round. Runs are kept as they end, in
`results/score_text-*.partial.json`; parts that are whole go into `results/score_text.json`.

classify: half tweets, half newsgroup posts, cut at the 512 tokens that MiniLM takes; its classifier is random. All
compute in bfloat16 where the processor has instructions for it, as brightspark does by itself.

    brightspark      TextClassifierModel.transform, to a no-op write
    predict_batch    Spark's predict_batch_udf, texts padded to 512 tokens: it takes tensors of one shape
    pipeline         transformers' pipeline, batches of 32 in file order, a process for each core, no Spark
    pipeline_single  the same without batches, as its documentation advises for processors: nothing is padded
    ray_data         Ray Data's map_batches, an actor for each core, batches of 32 padded to the longest
    ray_data_sorted  the same on a table that Ray sorts by length first
    raw              sorted by length, batches of 2,048 tokens, a process for each core, no Spark

predict_batch, pipeline and ray_data score a sample (--share): every eighth text by length, so that the mix of lengths
is that of all. That is fair, since a rate is texts a second: predict_batch pays the same for every text, and what the
others pad depends on the lengths within 32 texts, not on how many texts there are. What a run costs once weighs more in
a shorter run, but is less than a second in minutes. All texts go to brightspark and raw, which sort by length and pad
less the more texts they see, to Ray's sorted table, and to the pipeline that pads nothing.

translate: verses by a small Marian that is trained once, for minutes (`--translator PATH` takes another); 4 beams.

    brightspark      TranslatorModel.transform, to a no-op write
    generate         transformers' generate over batches of 16 in file order, a process for each core, no Spark
    generate_sorted  the same over texts sorted by length
    …_float32        without bfloat16, where the translations must be the same; with it the last bits of a number depend
                     on who shares a batch, and sometimes decide: generate_sorted shows how often

gpu: the engine without Spark against the plain loop, in tokens a second; needs a GPU, and neither Spark nor Java.

Spark NLP and SynapseML take no part. Their packages (spark-nlp 7.0.0, synapseml 1.1.3) hold Python alone, whose classes
fail with "'JavaPackage' object is not callable" without jars from Maven, which was not reached; SynapseML's
DeepTextClassifier, which is Python, needs Horovod, whose newest release (0.28.1) did not build against torch 2.14.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import machine
from rounds import Deadline
from texts import classify, gpu, translate
from texts.part import RESULTS, Asked, Found

RESULT = RESULTS / "score_text.json"
PARTS: dict[str, Callable[[Asked], Found | None]] = {
    "classify": classify.measure,
    "translate": translate.measure,
    "gpu": gpu.measure,
}


def main() -> int:
    """Measure, print and keep; the exit code is 1 where a contender failed or a goal is missed."""
    options = arguments()
    os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}  # of all contenders
    described = machine.describe()
    print(machine.headline(described))
    asked = Asked(
        rounds=options.rounds,
        deadline=Deadline.after(options.minutes),
        texts=options.texts,
        only=tuple(options.only),
        shares=dict(options.share),
        float32=options.float32,
        fresh=options.fresh,
        translator=options.translator,
        device=options.device,
    )
    met = True
    for name in options.part or PARTS:
        print(f"\n{name}", flush=True)
        found = PARTS[name](asked)
        if found is None:
            continue
        met = met and found.met
        if found.whole:
            kept = json.loads(RESULT.read_text()) if RESULT.exists() else {}
            kept[name] = {"machine": described, **found.kept}
            RESULT.write_text(json.dumps(kept, indent=1) + "\n")
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, help="by default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, help="start no run after so many minutes")
    parser.add_argument("--texts", type=int, help="another number of texts: kept apart from the real runs")
    parser.add_argument("--only", nargs="+", default=[], metavar="CONTENDER", help="run these contenders only")
    parser.add_argument(
        "--share", nargs="+", type=_share, default=[], metavar="CONTENDER=SHARE", help="of classify's texts"
    )
    parser.add_argument("--translator", type=Path, help="folder of a translator from English, as transformers has it")
    parser.add_argument("--float32", action="store_true", help="without bfloat16: kept apart from the real runs")
    parser.add_argument("--fresh", action="store_true", help="drop the rounds measured so far")
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)  # of gpu: cpu tries its logic
    options = parser.parse_args()
    known = {*classify.CONTENDERS, *translate.CONTENDERS, *gpu.CONTENDERS}
    if unknown := {*options.only, *dict(options.share)} - known:
        parser.error(f"{sorted(unknown)[0]!r} is none of {', '.join(sorted(known))}")
    return options


def _share(said: str) -> tuple[str, float]:
    name, _, share = said.partition("=")
    if not 0 < float(share or 1) <= 1:
        raise argparse.ArgumentTypeError(f"{said!r}: a share is above 0 and at most 1")
    return name, float(share or 1)


if __name__ == "__main__":
    raise SystemExit(main())
