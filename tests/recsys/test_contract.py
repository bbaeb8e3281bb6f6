"""The contract of every solution, on pairs of user and item; each answer worked out once more, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from safetensors.numpy import load_file

from brightspark.core.ranking_evaluator import RankingEvaluator
from brightspark.core.testing import Answer, Bench, SolutionContract
from brightspark.recsys import HybridRecommender, HybridRecommenderModel
from tests.recsys.films import FILMS, USERS, rated, ratings

PARTS = ("popularity", "als", "ease")
CANDIDATES = 12
NOBODY = "somebody else"


@pytest.mark.slow
class TestHybridRecommender(SolutionContract):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def session_of_the_class(cls, spark: Any) -> None:
        cls.spark = spark

    def model(self, folder: Path) -> HybridRecommenderModel:
        recommender = HybridRecommender(
            parts=PARTS, crossfits=1, candidates=CANDIDATES, run_folder=str(folder / "runs"),
            part_settings={"als": {"factors": 8}, "ease": {"l2": 20.0}},
        )  # fmt: skip
        made = recommender.fit(rated(self.spark))
        self.folder = Path(made.artifact.address)
        return cast(HybridRecommenderModel, made)

    def schema(self) -> str:
        return "user string, item long"

    def records(self, folder: Path) -> list[dict[str, Any]]:
        known = sorted({item for _, item, _ in ratings()})
        draw = np.random.default_rng(1)
        users = [*(f"user {number}" for number in range(USERS)), NOBODY]
        return [{"user": users[number % len(users)], "item": int(draw.choice(known))} for number in range(240)]

    def broken(self, folder: Path) -> list[dict[str, Any]]:
        return [{"user": f"user {number}", "item": FILMS + number} for number in range(3)]

    def answer(self, row: Any) -> Answer:
        return str(row["item"]), [row["prediction"]]

    def reference(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """From the files of the artifact alone."""
        world = World(self.folder)
        return [(str(record["item"]), [world.score(record["user"], record["item"])]) for record in records]

    def test_works_in_a_cross_validator(self, bench: Bench, tmp_path: Path) -> None:
        """A recommender of what is popular loses against one that knows who likes what."""
        recommender = HybridRecommender(
            crossfits=1, run_folder=str(tmp_path / "runs"), rank_col="rank", part_settings={"ease": {"l2": 20.0}}
        )
        made_of: list[list[str]] = [["popularity"], ["popularity", "ease"]]
        grid = ParamGridBuilder().addGrid(recommender.getParam("parts"), made_of).build()
        evaluator = RankingEvaluator("ndcg", k=10)
        search = CrossValidator(estimator=recommender, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=1)
        found = search.fit(rated(bench.spark))
        assert found.avgMetrics[1] > 1.3 * found.avgMetrics[0] > 0
        assert list(found.bestModel.artifact.training["parts"]) == made_of[1]


class World:
    """A recommender's files, and its scores by the words of the documentation: slowly, one pair at a time."""

    def __init__(self, folder: Path) -> None:
        import pyarrow.parquet as pq

        self.users = pq.read_table(folder / "users.parquet").column("user").to_pylist()
        self.items = pq.read_table(folder / "items.parquet").column("item").to_pylist()
        self.seen: dict[str, set[int]] = {}
        for user, item, _ in ratings():
            self.seen.setdefault(user, set()).add(self.items.index(item))
        self.popular = np.array([sum(item in seen for seen in self.seen.values()) for item in range(len(self.items))])
        self.als = load_file(folder / "als.safetensors")
        self.ease = load_file(folder / "ease.safetensors")["weights"]
        self.weights = load_file(folder / "reranker.safetensors")

    def score(self, user: str, item: int) -> float:
        if user not in self.seen:
            return float(self.popular[self.items.index(item)])
        return sum(
            float(self.weights[name] @ self.evidence(said, user, self.items.index(item)))
            for name, said in self.said(user).items()
        )

    def said(self, user: str) -> dict[str, list[float]]:
        vector = self.als["user_factors"][self.users.index(user)]
        return {
            "popularity": [float(count) for count in self.popular],
            "als": [float(vector @ factors) for factors in self.als["item_factors"]],
            "ease": [float(sum(self.ease[one, item] for one in self.seen[user])) for item in range(len(self.items))],
        }

    def candidates(self, user: str) -> set[int]:
        found: set[int] = set()
        for said in self.said(user).values():
            left = [item for item in range(len(self.items)) if item not in self.seen[user]]
            found |= set(sorted(left, key=lambda item: -said[item])[:CANDIDATES])
        return found

    def evidence(self, said: list[float], user: str, item: int) -> list[float]:
        own = [said[one] for one in self.candidates(user)]
        mean = sum(own) / len(own)
        spread = math.sqrt(sum((one - mean) ** 2 for one in own) / len(own))
        above = max(-6.0, min(6.0, (said[item] - mean) / spread))
        return [above, math.log1p(sum(one > said[item] for one in own))]
