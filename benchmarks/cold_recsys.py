"""Users and items that took no part in training: `python benchmarks/cold_recsys.py [--seeds N] [--crossfits N]`.

MovieLens, every rating relevant. Users: a fifth of them is held out of training, and each recommender is told 1, 3 or 5
of their films, drawn at random; the lists are over the full catalogue, and the test is what was not told (beyond five).
Items: a tenth of the films with five ratings or more is taken out of training with all their ratings; each user who has
rated some gets these films ranked, by what is known of them. nDCG@10, and how many times that of popularity (of chance)
it is, with a paired bootstrap's interval over the users.

The parts have the settings that `quality_recsys.py` found on its first split, or else their defaults.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine
from quality.kept import Kept
from quality_recsys import RESULT as TUNED
from quality_recsys import read_map

from brightspark import samples
from brightspark.core.session import session
from brightspark.recsys import (
    hold_out_items,
    hold_out_users,
    interactions,
    read_items,
    read_ratings,
    stage_interactions,
)
from brightspark.recsys.codes import coded, number
from brightspark.recsys.features import encode, learn_encoding
from brightspark.recsys.recommender import folded

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RESULT = Path(__file__).parent / "results" / "cold_recsys.json"
PARTS = ("popularity", "als", "bpr", "neighbours", "cease", "content", "towers", "covisits")
TOLD = (1, 3, 5)
USERS, ITEMS = "users", "items"


def main() -> None:
    """Measure, keep each run, and print."""
    options = arguments()
    described = machine.describe()
    print(machine.headline(described))
    spark = session("benchmark")
    settings = tuned()
    for name in options.part or (USERS, ITEMS):
        kept = Kept(RESULT, name, {"crossfits": options.crossfits, "parts": settings}, described)
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory(prefix="brightspark-bench-") as folder:
                prepare(spark, name, seed, Path(folder))
                asked: dict[str, Any] = {"parts": settings, "crossfits": options.crossfits}
                if name == USERS:
                    asked["told"] = list(TOLD)
                run = kept.run(f"quality.cold:{name}", seed, asked, folder=folder)
            tables = {"": run["found"]} if name == ITEMS else {f", told {n}": run[str(n)] for n in TOLD}
            for said, table in tables.items():
                for part, row in sorted(table.items(), key=lambda pair: -pair[1]["ndcg"]):
                    times = f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
                    print(f"| {name}{said}, seed {seed} | {part} | {row['ndcg']:.4f} | {times} |", flush=True)


def tuned() -> dict[str, dict[str, Any]]:
    """What was found for each part on the first split."""
    if not TUNED.exists():
        return {name: {} for name in PARTS}
    runs = json.loads(TUNED.read_text())["parts"]["stratified by item"]["runs"]
    return {name: runs.get(f"{name}, tuned", {}).get("0", {}).get("best", {}) for name in PARTS}


def prepare(spark: SparkSession, name: str, seed: int, folder: Path) -> None:
    """Stages what is learned from, and writes what is told and what is tested in codes."""
    source = samples.movielens()
    ratings = interactions(read_ratings(spark, str(source / "ratings.parquet"))).persist()
    catalogue = read_items(spark, str(source / "items.parquet"))
    if name == USERS:
        train, _, test = hold_out_users(ratings, fold_in=max(TOLD), seed=seed)
    else:
        train, test = hold_out_items(ratings, seed=seed)
    features = encode(catalogue, learn_encoding(catalogue))
    stage_interactions(folded(train, seed), str(folder / "staged"), items=catalogue, features=features)
    items = read_map(spark, folder / "staged", "items")
    asked = number(test, "user") if name == USERS else read_map(spark, folder / "staged", "users")
    written: dict[str, DataFrame] = {"test": test}
    if name == USERS:
        written |= {f"told-{n}": hold_out_users(ratings, fold_in=n, seed=seed).given for n in TOLD}
    else:
        written["train"] = train
    for of, rows in written.items():
        coded(rows, asked, items).toPandas().to_parquet(folder / f"{of}.parquet")
    ratings.unpersist()


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=[USERS, ITEMS])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--crossfits", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
