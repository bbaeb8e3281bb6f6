"""How good is each part of the recommender? `python benchmarks/quality_recsys.py [--seeds N] [--part PART]`.

MovieLens' 100,004 ratings, every one of them relevant, ranked over the full catalogue without what a user has rated in
training. A quarter of each item's ratings is the test. Each part is tuned by nDCG@10 on a fifth of each item's training
ratings with the same budget of settings, drawn at random from choices that `quality/recommenders.py` states, then
learned from all training ratings and measured on the test once. The intervals are a paired bootstrap over the users.

With `--split last` each user's last rating is the test, and the last but one is what is tuned on.

`cease` is EASE with the films' years and genres, `hybrid` all parts that it has by default with the settings that were
found for each, re-ranked by weights that are learned on `--crossfits` folds of the training ratings. `towers` and
`sasrec` are not tuned (a training takes long): they have their defaults.

Each run is a process of its own and is kept in results/quality_recsys.json once it has ended: a second call goes on
there. Runs whose settings are others by now are made again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apart
import machine
from quality.kept import Kept
from quality.recommenders import CHOICES, drawn

from brightspark import samples
from brightspark.core.ranking_comparison import compare
from brightspark.core.ranking_metrics import ranking
from brightspark.core.session import session
from brightspark.recsys import (
    Split,
    interactions,
    leave_last_out,
    read_items,
    read_ratings,
    stage_interactions,
    stratified_by_item,
)
from brightspark.recsys.codes import coded
from brightspark.recsys.features import encode, learn_encoding
from brightspark.recsys.recommender import folded

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.ranking_report import RankingComparison, RankingReport

RESULT = Path(__file__).parent / "results" / "quality_recsys.json"
TEST_SHARE, VALIDATION_SHARE = 0.25, 0.2
LONGEST = 50  # places of a list
HYBRID = "hybrid"
LEFT_OUT = ("ease", "sasrec")  # of the hybrid, as by default
STRATIFIED, LAST = "stratified", "last"


def main() -> None:
    """Tune, measure, keep each run, and print."""
    options = arguments()
    described = machine.describe()
    print(machine.headline(described))
    print(
        "| part | settings | validation nDCG@10 | nDCG@10 | precision@10 | recall@50 | coverage@10 | novelty@10 | fit |"
    )
    spark = session("benchmark")
    setting: dict[str, Any] = {"test_share": TEST_SHARE, "validation_share": VALIDATION_SHARE, "by": "item"}
    kept = Kept(RESULT, "stratified by item", setting, described)
    if options.split == LAST:
        kept = Kept(RESULT, "leave last out", {"last": 1}, described)
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as folder:
            print(measure(spark, options, seed, kept, Path(folder)), flush=True)


def measure(spark: SparkSession, options: argparse.Namespace, seed: int, kept: Kept, folder: Path) -> str:
    """All parts and the hybrid on one split, a line of the table each; lines of how the hybrid compares."""
    crossfits = options.crossfits
    train, test, items = prepare(spark, options.split, seed, folder)
    lists, reports, found = {}, {}, {}
    for name in options.part or CHOICES:
        where = {"staged": str(folder / "learning"), "held_back": str(folder / "held_back.parquet")}
        asked = {"name": name, "settings": drawn(name)}
        tuned = kept.run("quality.recommenders:tune", seed, asked, f"{name}, tuned", **where)
        where = {"staged": str(folder / "train"), "out": str(folder / f"{name}.parquet")}
        # Its lists are not kept: this runs at every call.
        run = apart.call(
            "quality.recommenders:answer", name=name, settings=tuned["best"], seed=seed, k=LONGEST, **where
        )
        found[name] = tuned["best"]
        lists[name] = named(spark, folder / f"{name}.parquet", folder / "train").persist()
        reports[name] = ranking(lists[name], test, train=train, k=[10, LONGEST], catalogue=items)
        print(line(name, seed, reports[name], tuned, run), flush=True)
    parts = {name: own for name, own in found.items() if name not in LEFT_OUT}
    run = apart.call(
        "quality.recommenders:hybrid", parts=parts, crossfits=crossfits, seed=seed, k=LONGEST,
        staged=str(folder / "train"), out=str(folder / "hybrid.parquet"),
    )  # fmt: skip
    lists[HYBRID] = named(spark, folder / "hybrid.parquet", folder / "train").persist()
    reports[HYBRID] = ranking(lists[HYBRID], test, train=train, k=[10, LONGEST], catalogue=items)
    print(line(HYBRID, seed, reports[HYBRID], {"best": {"crossfits": crossfits}, "validation": float("nan")}, run))
    compared = {
        name: {k: compare(lists[HYBRID], lists[name], test, k=k) for k in (10, LONGEST)}
        for name in lists
        if name != HYBRID
    }
    kept.record.setdefault("found", {})[str(seed)] = {
        "reports": {name: report.to_dict() for name, report in reports.items()},
        "hybrid": run,
        "hybrid_against": {name: {k: one.to_dict() for k, one in each.items()} for name, each in compared.items()},
    }
    kept.save()
    return "\n".join(
        f"{HYBRID} ÷ {name}: nDCG@10 {ratio(each[10], 'ndcg')}, recall@{LONGEST} {ratio(each[LONGEST], 'recall')}"
        for name, each in compared.items()
    )


def prepare(spark: SparkSession, split: str, seed: int, folder: Path) -> tuple[DataFrame, DataFrame, int]:
    """Stages what is learned from for tuning and for the test; the training and test rows, and how many items are."""
    source = samples.movielens()
    ratings = interactions(read_ratings(spark, str(source / "ratings.parquet")))
    catalogue = read_items(spark, str(source / "items.parquet"))
    train, test = (side.persist() for side in parted(ratings, split, TEST_SHARE, seed))
    learn, held_back = parted(train, split, VALIDATION_SHARE, seed)
    features = encode(catalogue, learn_encoding(catalogue))
    for name, rows in (("learning", folded(learn, seed)), ("train", folded(train, seed))):
        stage_interactions(rows, str(folder / name), items=catalogue, features=features)
    maps = (read_map(spark, folder / "learning", name) for name in ("users", "items"))
    coded(held_back, *maps).toPandas().to_parquet(folder / "held_back.parquet")
    return train, test, catalogue.count()


def parted(ratings: DataFrame, split: str, share: float, seed: int) -> Split:
    """What is learned from, and what is measured."""
    if split == LAST:
        return leave_last_out(ratings, seed=seed)
    return stratified_by_item(ratings, test_share=share, seed=seed)


def read_map(spark: SparkSession, staged: Path, name: str) -> DataFrame:
    """The ids and codes that were staged of `users` or `items`."""
    return spark.read.parquet(str(staged / name / "data-*"))


def named(spark: SparkSession, lists: Path, staged: Path) -> DataFrame:
    """Lists in codes as lists of ids."""
    found = spark.read.parquet(str(lists)).withColumnsRenamed({"user": "user_code", "item": "item_code"})
    for name in ("user", "item"):
        found = found.join(
            read_map(spark, staged, f"{name}s").withColumnRenamed("code", f"{name}_code"), f"{name}_code"
        )
    return found.select("user", "item", "rank", "score")


def line(name: str, seed: int, report: RankingReport, tuned: dict[str, Any], run: dict[str, Any]) -> str:
    """A line of a Markdown table."""
    ten, fifty, items = report.overall[10], report.overall[LONGEST], report.items[10]
    chosen = ", ".join(f"{key}={value}" for key, value in tuned["best"].items()) or "–"
    numbers = (tuned["validation"], ten.ndcg, ten.precision, fifty.recall, items.coverage, items.novelty)
    shown = " | ".join(f"{value:.4f}" for value in numbers)
    return f"| {name}, seed {seed} | {chosen} | {shown} | {run['fit_seconds']:.1f} s |"


def ratio(found: RankingComparison, metric: str) -> str:
    """The ratio of two recommenders' numbers with its interval."""
    score = found.scores[metric]
    return f"{score.ratio:.3f} [{score.ratio_interval.low:.3f}, {score.ratio_interval.high:.3f}]"


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=list(CHOICES))
    parser.add_argument("--split", choices=[STRATIFIED, LAST], default=STRATIFIED)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--crossfits", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
