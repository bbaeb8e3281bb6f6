"""The commands of recommendation: `brightspark recsys …`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brightspark.core import commands
from brightspark.core.cli import (
    FormatOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    progress,
    show,
    start_session,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.recsys import HybridRecommenderModel

app = typer.Typer(help="Recommendation by a hybrid of collaborative and content parts.", no_args_is_help=True)

ModelArgument = Annotated[str, typer.Argument(help="An artifact that `fit` wrote: a folder, or a URI.")]
UserOption = Annotated[str, typer.Option("--user", help="The column of the users.")]
ItemOption = Annotated[str, typer.Option("--item", help="The column of the items.")]
HistoryOption = Annotated[
    str | None, typer.Option("--history", help="A column with an array of items, which tells of users that are new.")
]
KOption = Annotated[int, typer.Option("--k", min=1, help="Items for each user.")]


@app.command()
def fit(
    ratings: Annotated[str, typer.Argument(help="A table of ratings or events.")],
    out: Annotated[str, typer.Option(help="Where the artifact goes: a folder, or a URI.")],
    items: Annotated[str | None, typer.Option(help="A table of what is known of the items.")] = None,
    format: FormatOption = None,
    user: UserOption = "user",
    item: ItemOption = "item",
    rating: Annotated[
        str, typer.Option(help="The column of the ratings; empty where each row is an event.")
    ] = "rating",
    timestamp: Annotated[str | None, typer.Option(help="The column of moments; by default `timestamp`.")] = None,
    name: Annotated[str | None, typer.Option(help="The items' column of what to call them, in reasons.")] = None,
    setting: commands.SetOption = None,
    run_folder: commands.RunFolderOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Learn from who turned to what, and from what is known of the items. The same command goes on after a kill."""
    from brightspark.recsys import HybridRecommender, read_items, read_ratings

    def equip(recommender: HybridRecommender, spark: SparkSession) -> None:
        recommender.items = None if items is None else read_items(spark, items, item_col=item)

    def read(spark: SparkSession, path: str) -> DataFrame:
        return read_ratings(
            spark, path, format=format, user_col=user, item_col=item, rating_col=rating or None, timestamp_col=timestamp
        )

    commands.fit(
        HybridRecommender,
        {"name_col": name, "run_folder": run_folder},
        setting,
        source=ratings,
        read=read,
        out=out,
        overwrite=overwrite,
        as_json=as_json,
        follow=_follow,
        equip=equip,
        sources=[] if items is None else [items],
    )


@contextmanager
def _follow(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Says on stderr what is being learned."""
    yield (lambda text: None) if quiet else partial(typer.echo, err=True)


@app.command()
def score(
    model: ModelArgument,
    pairs: Annotated[str, typer.Argument(help="A table of users and items.")],
    out: OutOption,
    format: FormatOption = None,
    user: UserOption = "user",
    item: ItemOption = "item",
    history: HistoryOption = None,
    quarantine: commands.QuarantineOption = None,
    max_error_rate: commands.ErrorRateOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say how much items suit users: every row of PAIRS comes back with a prediction, or an error."""
    commands.score(
        lambda: _load(model, user, item, history),
        source=pairs,
        read=partial(_table, format=format),
        out=out,
        quarantine=quarantine,
        max_error_rate=max_error_rate,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def recommend(
    model: ModelArgument,
    out: OutOption,
    users: Annotated[str | None, typer.Option(help="A table of users; by default all that were learned from.")] = None,
    k: KOption = 10,
    format: FormatOption = None,
    user: UserOption = "user",
    history: HistoryOption = None,
    allow: Annotated[str | None, typer.Option(help="A table of the only items that may be recommended.")] = None,
    deny: Annotated[str | None, typer.Option(help="A table of items that may not be recommended.")] = None,
    item: ItemOption = "item",
    diversity: Annotated[float, typer.Option(min=0, max=1, help="Prefer items that are not like those before.")] = 0.0,
    reasons: Annotated[bool, typer.Option(help="Say why; without, lists of millions of users take less time.")] = True,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the k best items for each user, with their scores and reasons."""
    from brightspark.core.publish import refuse_existing, refuse_replacing

    for source in filter(None, (users, allow, deny)):
        refuse_replacing(source, out)
    spark = start_session(quiet=as_json)
    if not overwrite:
        refuse_existing(spark, out)
    loaded = _load(model, user, item, history)
    asked = loaded.known_users(spark) if users is None else _table(spark, users, format=format)
    listed = {
        name: None if path is None else _ids(spark, path, item) for name, path in (("allow", allow), ("deny", deny))
    }
    lists = loaded.recommend(
        asked, k, allow=listed["allow"], deny=listed["deny"] or (), diversity=diversity, reasons=reasons
    )
    started = time.perf_counter()
    with progress(spark, f"recommending into {out}", quiet=as_json):
        lists.write.mode("overwrite" if overwrite else "error").parquet(out)
    seconds = time.perf_counter() - started
    rows = spark.read.parquet(out).count()
    show(
        {"out": out, "recommendations": rows, "seconds": round(seconds, 2)},
        title=f"{rows:,} recommendations in {out}",
        as_json=as_json,
    )


@app.command()
def evaluate(
    lists: Annotated[str, typer.Argument(help="A table that `recommend` wrote.")],
    test: Annotated[str, typer.Option(help="A table of the pairs of user and item that were held back.")],
    train: Annotated[str | None, typer.Option(help="A table of the pairs that were learned from.")] = None,
    k: Annotated[list[int] | None, typer.Option("--k", min=1, help="Places that count; may be given again.")] = None,
    catalogue: Annotated[int | None, typer.Option(help="How many items could have been recommended.")] = None,
    format: FormatOption = None,
    user: UserOption = "user",
    item: ItemOption = "item",
    as_json: JsonOption = False,
) -> None:
    """Measure lists against what users turned to: nDCG, MAP, precision, recall, MRR, coverage and novelty."""
    from brightspark.core.ranking_metrics import ranking

    def measure(recommended: DataFrame) -> Any:
        spark = recommended.sparkSession
        learned = None if train is None else _pairs(spark, train, format, user, item)
        held_back = _pairs(spark, test, format, user, item)
        return ranking(recommended, held_back, train=learned, k=k or [10], catalogue=catalogue)

    commands.report(lists, measure, format=None, as_json=as_json)


def _load(model: str, user: str, item: str, history: str | None) -> HybridRecommenderModel:
    from brightspark.recsys import HybridRecommenderModel

    loaded: HybridRecommenderModel = HybridRecommenderModel.load(model)
    named = {"user_col": user, "item_col": item, "history_col": history}
    return loaded.copy({loaded.getParam(name): value for name, value in named.items()})


def _table(spark: SparkSession, path: str, *, format: str | None = None) -> DataFrame:
    from brightspark.core.tables import read_table

    return read_table(spark, path, format=format)


def _pairs(spark: SparkSession, path: str, format: str | None, user: str, item: str) -> DataFrame:
    from pyspark.sql import functions as F

    from brightspark.core.transform import quoted

    table = _table(spark, path, format=format)
    return table.select(F.col(quoted(user)).alias("user"), F.col(quoted(item)).alias("item"))


def _ids(spark: SparkSession, path: str, item: str) -> list[Any]:
    """The items of a list that travels with the settings: no more than one more than may."""
    from brightspark.core.transform import quoted
    from brightspark.recsys.settings import MOST_LISTED

    table = _table(spark, path).select(quoted(item)).distinct().limit(MOST_LISTED + 1)
    return [row[0] for row in table.collect()]
