"""A recommender on Spark, from ratings to lists: who gets what, whoever asks, and what is refused."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.sql import functions as F
from typer.testing import CliRunner

from brightspark.core.errors import InputError, SettingError
from brightspark.recsys import HybridRecommender, HybridRecommenderModel, hybrid_training, nearest, parts, spark_als
from brightspark.recsys.part import UNKNOWN
from brightspark.recsys.predictor import Recommender
from tests.recsys.films import FILMS, KINDS, USERS, films, rated, ratings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NEW = 4  # films that nobody has seen, one of each kind
K = 5


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a fit of seconds; Connect wants a folder that its server sees too."""
    return {
        "crossfits": 1, "name_col": "title", "run_folder": str(tmp_path_factory.mktemp("runs")),
        "part_settings": {"als": {"factors": 8}, "bpr": {"factors": 8, "iterations": 20}, "cease": {"l2": 20.0}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def model(spark: SparkSession, settings: dict[str, Any]) -> HybridRecommenderModel:
    made: HybridRecommenderModel = HybridRecommender(items=films(spark, NEW), **settings).fit(rated(spark))
    return made


def lists(table: DataFrame) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in table.orderBy("rank").collect():
        found[row["user"]].append(row)
        assert row["rank"] == len(found[row["user"]])
    return found


def told(spark: SparkSession, *rows: tuple[str | None, list[int] | None]) -> DataFrame:
    return spark.createDataFrame(list(rows), "user string, told array<bigint>")


def test_everybody_gets_what_he_has_not_seen_and_of_his_kind(
    spark: SparkSession, model: HybridRecommenderModel
) -> None:
    found = lists(model.recommend(model.known_users(spark), K))
    assert len(found) == USERS
    known = defaultdict(set)
    for user, item, _ in ratings():
        known[user].add(item)
    of_kind = 0
    for user, rows in found.items():
        items = [row["item"] for row in rows]
        assert len(set(items)) == K
        assert not known[user] & set(items)
        assert all(earlier["score"] >= later["score"] for earlier, later in itertools.pairwise(rows))
        assert all(set(row["liked"]) <= known[user] for row in rows)
        of_kind += sum(item % len(KINDS) == int(user.removeprefix("user ")) % len(KINDS) for item in items[:2])
    assert of_kind > 0.8 * 2 * USERS


def test_reasons_name_films_that_the_user_has_seen_or_what_the_new_one_is(
    spark: SparkSession, model: HybridRecommenderModel
) -> None:
    of_war = [film for film in range(FILMS) if film % len(KINDS) == 2]
    new = FILMS + 2
    asked = told(spark, ("a stranger", of_war[:3]))
    known = model.copy({model.history_col: "told"})
    (rows,) = lists(known.recommend(asked, 3, deny=[new])).values()
    for row in rows:
        assert row["reason"] == "like " + ", ".join(f"Film {item}" for item in row["liked"])
        assert set(row["liked"]) <= set(of_war[:3])
    (rows,) = lists(known.recommend(asked, 1, allow=[new])).values()
    assert [(row["item"], row["reason"]) for row in rows] == [(new, "kind: war")]


def test_strangers_are_known_by_what_is_told_of_them_and_else_by_what_is_popular(
    spark: SparkSession, model: HybridRecommenderModel
) -> None:
    music = [film for film in range(FILMS) if film % len(KINDS) == 3]
    asked = told(
        spark, ("likes music", music[:4]), ("tells nothing", []), ("nobody", None), (None, None), ("odd", [-1, 10**12])
    )
    found = lists(model.copy({model.history_col: "told"}).recommend(asked, K))
    assert all(row["item"] in [*music[4:], FILMS + 3] for row in found["likes music"][:3])
    counts = rated(spark).groupBy("item").count().orderBy(F.desc("count")).limit(K).collect()
    least = min(row["count"] for row in counts)
    by_item = {row["item"]: row["count"] for row in rated(spark).groupBy("item").count().collect()}
    for user in ("tells nothing", "nobody", None, "odd"):
        assert [row["reason"] for row in found[user]] == ["popular"] * K
        assert all(by_item[row["item"]] >= least for row in found[user])


def test_without_reasons_the_lists_are_the_same(spark: SparkSession, model: HybridRecommenderModel) -> None:
    users = model.known_users(spark).limit(20)
    plain, short = (model.recommend(users, K, reasons=said).orderBy("user", "rank") for said in (True, False))
    columns = ["user", "item", "score", "rank"]
    assert plain.select(columns).collect() == short.select(columns).collect()
    assert short.filter("reason IS NOT NULL OR liked IS NOT NULL").isEmpty()
    assert short.columns == plain.columns


def test_a_single_part_learns_once_and_strangers_get_what_is_popular(
    spark: SparkSession, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[str] = []

    def learn(name: str, *told: Any, **known: Any) -> Any:
        learned.append(name)
        return parts.learn(name, *told, **known)

    monkeypatch.setattr(hybrid_training, "learn_part", learn)
    made: Any = HybridRecommender(parts=("als",), **{**settings, "name_col": None}).fit(rated(spark))
    assert learned == ["als"]
    found = lists(made.recommend(told(spark, ("user 1", None), ("nobody", None)).drop("told"), K))
    counts = {row["item"]: row["count"] for row in rated(spark).groupBy("item").count().collect()}
    assert [counts[row["item"]] for row in found["nobody"]] == sorted(counts.values(), reverse=True)[:K]
    assert [row["reason"] for row in found["user 1"]] != [row["reason"] for row in found["nobody"]]


def test_more_than_there_is_gives_all_there_is(spark: SparkSession, model: HybridRecommenderModel) -> None:
    asked = told(spark, ("keen", list(range(FILMS - 3))), ("has seen it all", list(range(FILMS + NEW))))
    found = lists(model.copy({model.history_col: "told"}).recommend(asked, 1000))
    assert list(found) == ["keen"]
    assert {row["item"] for row in found["keen"]} == set(range(FILMS - 3, FILMS + NEW))


def test_similar_films_are_of_the_same_kind(spark: SparkSession, model: HybridRecommenderModel) -> None:
    asked = films(spark, NEW).select("item").union(spark.createDataFrame([(10_000,)], "item long"))
    rows = model.similar(asked, 3).collect()
    assert len(rows) == 3 * (FILMS + NEW)
    assert all(row["item"] != row["similar"] for row in rows)
    assert sum(row["item"] % len(KINDS) == row["similar"] % len(KINDS) for row in rows) > 0.95 * len(rows)


def test_an_index_finds_the_same_similar_films(
    spark: SparkSession, settings: dict[str, Any], model: HybridRecommenderModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made where a catalogue is large: here, where it has more than a film. The fit is the model's, which goes on."""
    monkeypatch.setattr(nearest, "FEWEST_ITEMS", 1)
    indexed: Any = HybridRecommender(items=films(spark, NEW), **settings).fit(rated(spark))
    assert (Path(indexed.artifact.address) / nearest.FILE).exists()
    assert not (Path(model.artifact.address) / nearest.FILE).exists()
    asked = films(spark, NEW).select("item")
    found, wanted = (
        {(row["item"], row["rank"]): row["similar"] for row in each.similar(asked, 3).collect()}
        for each in (indexed, model)
    )
    assert len(found) == 3 * (FILMS + NEW)
    assert sum(found[place] == wanted[place] for place in wanted) > 0.95 * len(wanted)


@pytest.mark.classic
def test_what_comes_next_goes_by_the_order_of_time(spark: SparkSession, tmp_path: Path) -> None:
    """Everybody goes round, up or down, and says so by timestamps alone; also after the model was saved."""
    draw = np.random.default_rng(0)
    rows = []
    for user in range(60):
        start, way = int(draw.integers(0, 20)), int(draw.choice([-1, 1]))
        rows += [(f"u{user}", (start + way * step) % 20, 1.0, step * 3_600) for step in range(8)]
    draw.shuffle(rows)
    table = spark.createDataFrame(
        [(u, int(i), r, int(t)) for u, i, r, t in rows], "user string, item long, rating double, timestamp long"
    )
    small = {"embedding_dim": 16, "epochs": 40, "batch_size": 16, "learning_rate": 5e-3, "dropout": 0.1}
    HybridRecommender(parts=("sasrec",), part_settings={"sasrec": small}, run_folder=str(tmp_path / "runs")).fit(
        table
    ).save(str(tmp_path / "model"))
    model: Any = HybridRecommenderModel.load(str(tmp_path / "model"))
    last: dict[str, list[int]] = {}
    for user, item, _, _ in sorted(rows, key=lambda row: int(row[3])):
        last.setdefault(str(user), []).append(int(item))
    by_spark: Any = HybridRecommender(
        parts=("spark_als",), part_settings={"spark_als": {"factors": 4}}, run_folder=str(tmp_path / "runs")
    ).fit(table)
    for made in (model, by_spark):
        catalogue = Recommender.load(Path(made.artifact.address), 10).catalogue
        for user, seen in zip(catalogue.users.to_pylist(), catalogue.histories, strict=True):
            assert catalogue.ids(seen.indices) == last[user]
    found = lists(model.recommend(model.known_users(spark), 1))
    right = [rows[0]["item"] == (2 * last[user][-1] - last[user][-2]) % 20 for user, rows in found.items()]
    assert len(right) == 60
    assert np.mean(right) > 0.85
    asked = told(spark, ("up", [3, 4, 5, 6]), ("down", [6, 5, 4, 3]), ("comes back", [7, 3, 4, 5, 6, 3, 7]))
    found = lists(model.copy({model.history_col: "told"}).recommend(asked, 1))
    assert [found[user][0]["item"] for user in ("up", "down")] == [7, 2]
    assert found["comes back"][0]["item"] not in (3, 4, 5, 6, 7)


def test_a_diverse_list_has_the_best_item_and_more_kinds(spark: SparkSession, model: HybridRecommenderModel) -> None:
    users = model.known_users(spark).limit(20)
    plain, diverse = (lists(model.recommend(users, K, diversity=share)) for share in (0.0, 0.9))
    assert {user: rows[0]["item"] for user, rows in plain.items()} == {
        user: rows[0]["item"] for user, rows in diverse.items()
    }
    kinds = [
        sum(len({row["item"] % len(KINDS) for row in rows}) for rows in found.values()) for found in (plain, diverse)
    ]
    assert kinds[1] > kinds[0]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("ann", 1, 5.0)], None),
        ([("ann", 1, 5.0), ("ann", 2, 5.0)], None),
        ([("ann", 1, 5.0), ("bob", 1, 5.0), ("eve", 1, 5.0)], None),
        ([("ann", 1, 5.0), ("ann", 1, 4.0), ("bob", 2, float("nan")), ("bob", 3, 1.0), (None, 1, 1.0)], None),
        ([("ann", 1, -5.0), ("ann", None, 5.0), ("bob", 2, float("inf"))], "nothing to learn from"),
        ([], "nothing to learn from"),
    ],
)
def test_however_little_there_is(
    spark: SparkSession, settings: dict[str, Any], rows: list[tuple[Any, ...]], why: str | None
) -> None:
    table = spark.createDataFrame(rows, "user string, item long, rating double")
    recommender = HybridRecommender(**{**settings, "name_col": None})
    if why is not None:
        with pytest.raises(InputError, match=why):
            recommender.fit(table)
        return
    made = recommender.fit(table)
    found = lists(made.recommend(spark.createDataFrame([("ann",), ("zoe",)], "user string"), 2))
    assert found["zoe"]
    assert all(row["item"] not in {item for user, item, _ in rows if user == "ann"} for row in found["ann"])


def test_what_cannot_be_is_refused_before_anything_is_learned(
    spark: SparkSession, settings: dict[str, Any], model: HybridRecommenderModel
) -> None:
    with pytest.raises(InputError, match="user is bigint in the table, and was string"):
        model.recommend(spark.createDataFrame([(1,)], "user long"))
    with pytest.raises(InputError, match="no column 'user'"):
        model.recommend(films(spark))
    with pytest.raises(SettingError, match="k=0"):
        model.recommend(model.known_users(spark), 0)
    with pytest.raises(InputError, match="the items have no column 'name'"):
        HybridRecommender(items=films(spark), **{**settings, "name_col": "name"}).fit(rated(spark))
    twice = films(spark).union(films(spark).limit(2))
    with pytest.raises(InputError, match="2 items are there more than once"):
        HybridRecommender(items=twice, **settings).fit(rated(spark))
    with pytest.raises(SettingError, match="there is no part 'esae'"):
        HybridRecommender(parts=("popularity", "esae"))
    with pytest.raises(SettingError, match="als has no setting 'factor'"):
        HybridRecommender(part_settings={"als": {"factor": 8}})
    with pytest.raises(SettingError, match="parts names none"):
        HybridRecommender(parts=())


@pytest.mark.classic
def test_a_fit_that_was_killed_goes_on_and_another_one_begins_anew(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it learned the last part of all interactions, it learns that one alone."""
    settings: dict[str, Any] = {
        "parts": ("popularity", "als", "ease"), "crossfits": 1, "name_col": "title",
        "run_folder": str(tmp_path / "runs"),
    }  # fmt: skip
    learned: list[str] = []
    to_die_at = 5  # two rounds of three parts, the first one being 0

    def learn(name: str, *told: Any, **known: Any) -> Any:
        if len(learned) == to_die_at:
            raise KeyboardInterrupt
        learned.append(name)
        return parts.learn(name, *told, **known)

    monkeypatch.setattr(hybrid_training, "learn_part", learn)
    with pytest.raises(KeyboardInterrupt):
        HybridRecommender(items=films(spark), **settings).fit(rated(spark))
    to_die_at = -1
    made: Any = HybridRecommender(items=films(spark), **settings).fit(rated(spark))
    assert learned == ["popularity", "als", "ease", "popularity", "als", "ease"]
    whole: Any = HybridRecommender(items=films(spark), **{**settings, "run_folder": str(tmp_path / "others")}).fit(
        rated(spark)
    )
    asked = made.known_users(spark)
    assert lists(made.recommend(asked, K)) == lists(whole.recommend(asked, K))
    learned.clear()
    HybridRecommender(items=films(spark, 1), **settings).fit(rated(spark))
    HybridRecommender(items=films(spark), **settings).fit(rated(spark, seed=1))
    assert len(learned) == 2 * 6


def test_the_commands_go_from_ratings_to_measures(spark: SparkSession, tmp_path: Path) -> None:
    from brightspark.recsys.cli import app

    for name, table in (("ratings", rated(spark)), ("films", films(spark)), ("test", rated(spark, seed=1))):
        table.write.parquet(str(tmp_path / name))

    def run(*arguments: Any) -> dict[str, Any]:
        done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said

    fitted = run(
        "fit", tmp_path / "ratings", "--items", tmp_path / "films", "--out", tmp_path / "model", "--name", "title",
        "--set", "crossfits=1", "--set", 'parts=["popularity","ease","content"]', "--run-folder", tmp_path / "runs",
    )  # fmt: skip
    assert (fitted["users"], fitted["items"]) == (USERS, FILMS)
    run("recommend", tmp_path / "model", "--out", tmp_path / "lists", "--k", 4)
    found = lists(spark.read.parquet(str(tmp_path / "lists")))
    assert {len(rows) for rows in found.values()} == {4}
    measured = run(
        "evaluate", tmp_path / "lists", "--test", tmp_path / "test", "--train", tmp_path / "ratings", "--k", 4
    )
    assert measured["overall"]["4"]["ndcg"] > 0.1
    scored = run("score", tmp_path / "model", tmp_path / "test", "--out", tmp_path / "scored")
    assert scored["errors"] == 0
    again = CliRunner().invoke(app, ["recommend", str(tmp_path / "model"), "--out", str(tmp_path / "lists")])
    assert isinstance(again.exception, InputError)


def test_what_outgrows_a_machine_is_learned_by_spark(
    spark: SparkSession, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named, or by itself where the other parts would read more than they may; and only once."""
    chosen: dict[str, Any] = {
        "part_settings": {"spark_als": {"factors": 8, "blocks": 2, "max_bytes": 1 << 30}},
        "run_folder": settings["run_folder"],
    }
    named: Any = HybridRecommender(parts=("spark_als",), **chosen).fit(rated(spark))
    small: Any = HybridRecommender(max_bytes=1_000, **chosen).fit(rated(spark))
    assert "max_bytes" in small.artifact.training["left_out"]["ease"]
    seen = defaultdict(set)
    for user, item, _ in ratings():
        seen[user].add(item)
    for made in (named, small):
        found = lists(made.recommend(made.known_users(spark), K))
        assert len(found) == USERS
        of_kind = 0
        for user, rows in found.items():
            assert not seen[user] & {row["item"] for row in rows}
            of_kind += sum(row["item"] % len(KINDS) == int(user.removeprefix("user ")) % len(KINDS) for row in rows[:2])
        assert of_kind > 0.7 * 2 * USERS
    recommender = Recommender.load(Path(named.artifact.address), 10)
    part, histories = recommender.hybrid.parts[0], recommender.catalogue.histories
    everyone = np.arange(USERS, dtype=np.int32)
    solved = part.scores(histories, np.full(USERS, UNKNOWN, dtype=np.int32))
    np.testing.assert_allclose(solved, part.scores(histories, everyone), atol=2e-3)
    music = [film for film in range(FILMS) if film % len(KINDS) == 3]
    asked = told(spark, ("likes music", music[:4]), ("nobody", None))
    found = lists(named.copy({named.history_col: "told"}).recommend(asked, 2))
    assert {row["item"] for row in found["likes music"]} <= set(music[4:])
    assert len(found["nobody"]) == 2
    monkeypatch.setattr(spark_als, "_estimator", lambda settings: pytest.fail("it was learned already"))
    again: Any = HybridRecommender(parts=("spark_als",), **chosen).fit(rated(spark))
    assert lists(again.recommend(again.known_users(spark), K)) == lists(named.recommend(named.known_users(spark), K))
    with pytest.raises(SettingError, match="spark_als is learned by Spark and stands alone"):
        HybridRecommender(parts=("popularity", "spark_als"))
    with pytest.raises(InputError, match="max_bytes"):
        HybridRecommender(
            parts=("spark_als",), part_settings={"spark_als": {"factors": 8, "max_bytes": 1_000}},
            run_folder=settings["run_folder"],
        ).fit(rated(spark))  # fmt: skip
