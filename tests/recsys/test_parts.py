"""Each collaborative part answers as its library or its formula does, for users in training and for new ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy.sparse import csr_matrix

from brightspark.core.errors import ArtifactError, InputError, SettingError
from brightspark.recsys import parts
from brightspark.recsys.ease import EaseSettings
from brightspark.recsys.factors import Als, AlsSettings, BprSettings
from brightspark.recsys.neighbours import NeighbourSettings
from brightspark.recsys.part import UNKNOWN, Part, implicit_alone
from brightspark.recsys.top import recommend

FACTORS = 3
SMALL: Mapping[str, Any] = {
    "popularity": parts.KINDS["popularity"].settings(),
    "als": AlsSettings(factors=FACTORS, regularization=0.1, alpha=10, iterations=10),
    "bpr": BprSettings(factors=FACTORS, learning_rate=0.05, iterations=300),
    "neighbours": NeighbourSettings(neighbours=20, weight="cosine"),
    "ease": EaseSettings(l2=10),
}
PERSONAL = [name for name in SMALL if name != "popularity"]


def tastes(seed: int = 0, users: int = 60, items: int = 30) -> csr_matrix:
    """Even users like even items, odd ones odd items, all some at random; some items are liked by more."""
    draw = np.random.default_rng(seed)
    alike = (np.arange(users)[:, None] + np.arange(items)) % 2 == 0
    chance = np.where(alike, 0.45, 0.04) * np.linspace(1.4, 0.6, items)
    return csr_matrix((draw.random((users, items)) < chance).astype(np.float32))


@pytest.fixture(scope="module")
def learned() -> dict[str, Part]:
    return {name: parts.kind(name).fit(tastes(), settings) for name, settings in SMALL.items()}


def codes(*users: int) -> Any:
    return np.array(users, dtype=np.int32)


def hits(part: Part, matrix: csr_matrix, users: Any) -> float:
    """The share of recommended items that are of the user's own kind."""
    (found,) = recommend(part, matrix, 5, users=users)
    return float(((found.items + np.arange(matrix.shape[0])[:, None]) % 2 == 0).mean())


@pytest.mark.parametrize("name", PERSONAL)
def test_users_get_what_is_to_their_taste_in_training_or_not(learned: dict[str, Part], name: str) -> None:
    matrix, new = tastes(), tastes(seed=1)
    assert hits(learned[name], matrix, np.arange(60, dtype=np.int32)) > 0.85
    assert hits(learned[name], new, np.full(60, UNKNOWN, dtype=np.int32)) > 0.85
    assert hits(learned["popularity"], new, np.full(60, UNKNOWN, dtype=np.int32)) < 0.6


@pytest.mark.parametrize("name", SMALL)
def test_a_block_of_known_and_unknown_users_is_answered_row_by_row(learned: dict[str, Part], name: str) -> None:
    part, matrix = learned[name], tastes()
    together = part.scores(matrix[:3], codes(0, UNKNOWN, 2))
    alone = [part.scores(matrix[row], codes(user)) for row, user in enumerate((0, UNKNOWN, 2))]
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_the_same_training_gives_the_same_part_and_a_file_keeps_it(
    learned: dict[str, Part], name: str, tmp_path: Path
) -> None:
    again = parts.kind(name).fit(tastes(), SMALL[name])
    kept = parts.load(parts.save(learned[name], tmp_path))
    for other in (again, kept):
        assert type(other) is type(learned[name])
        assert other.items == 30
        for users in (codes(0, 1, 2), codes(UNKNOWN, UNKNOWN, UNKNOWN)):
            np.testing.assert_array_equal(other.scores(tastes()[:3], users), learned[name].scores(tastes()[:3], users))


def test_files_that_hold_no_part_are_told(tmp_path: Path) -> None:
    (tmp_path / "ease.safetensors").write_bytes(b"what is this")
    with pytest.raises(ArtifactError, match="cannot be read"):
        parts.load(tmp_path / "ease.safetensors")
    with pytest.raises(ArtifactError, match="cannot be read"):
        parts.load(tmp_path / "als.safetensors")
    file = parts.save(parts.kind("popularity").fit(tastes(), SMALL["popularity"]), tmp_path)
    for name in ("bpr.safetensors", "other.safetensors"):
        with pytest.raises(ArtifactError, match="is unknown or missing"):
            parts.load(file.rename(file.with_name(name)))
        file = file.with_name(name)


@pytest.mark.parametrize(
    ("name", "library", "settings"),
    [
        ("als", AlternatingLeastSquares, {"regularization": 0.1, "alpha": 10, "iterations": 10}),
        ("bpr", BayesianPersonalizedRanking, {"learning_rate": 0.05, "iterations": 300, "num_threads": 1}),
    ],
)
def test_factors_are_those_of_implicit(
    learned: dict[str, Part], name: str, library: Any, settings: dict[str, Any]
) -> None:
    matrix = tastes()
    with implicit_alone():
        model = library(factors=FACTORS, random_state=0, **settings)
        model.fit(matrix, show_progress=False)
        items, scores = model.recommend(np.arange(60), matrix, N=6)
    (found,) = recommend(learned[name], matrix, 6, users=np.arange(60, dtype=np.int32))
    np.testing.assert_array_equal(found.items, items)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "library"),
    [
        (NeighbourSettings(neighbours=7, weight="cosine"), CosineRecommender(K=7)),
        (NeighbourSettings(neighbours=7, weight="tfidf"), TFIDFRecommender(K=7)),
        (NeighbourSettings(neighbours=7, weight="bm25", k1=0.5, b=0.3), BM25Recommender(K=7, K1=0.5, B=0.3)),
    ],
)
@pytest.mark.filterwarnings("ignore:Method expects CSR input")  # implicit's own recommenders hand themselves another
def test_neighbours_are_those_of_implicit(settings: NeighbourSettings, library: Any) -> None:
    matrix = tastes()
    library.fit(matrix, show_progress=False)
    part = parts.kind("neighbours").fit(matrix, settings)
    scores = part.scores(matrix, np.arange(60, dtype=np.int32))
    np.testing.assert_allclose(scores, (matrix @ library.similarity).toarray(), rtol=1e-5)
    for user in range(5):
        _, said = library.recommend(user, matrix[user], N=4)
        (found,) = recommend(part, matrix[user], 4)
        np.testing.assert_allclose(found.scores[0][: len(said)], said, rtol=1e-5)


def test_ease_is_its_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = tastes(users=200, items=57)
    dense = matrix.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + 20 * np.eye(57))
    weights = np.eye(57) - inverse / np.diag(inverse)
    part = parts.kind("ease").fit(matrix, EaseSettings(l2=20))
    assert not np.diag(part.weights).any()
    np.testing.assert_allclose(part.weights, weights - np.diag(np.diag(weights)), atol=1e-5)
    monkeypatch.setattr("brightspark.recsys.ease.BLOCK_BYTES", 4 * 57 * 5)  # a few rows at a time, the last fewer
    np.testing.assert_array_equal(parts.kind("ease").fit(matrix, EaseSettings(l2=20)).weights, part.weights)
    np.testing.assert_allclose(part.scores(matrix, np.arange(200)), dense @ part.weights, rtol=1e-4, atol=1e-5)


def test_als_solves_for_an_unknown_user(learned: dict[str, Part]) -> None:
    part, history = learned["als"], tastes(seed=2)[0]
    assert isinstance(part, Als)
    factors, liked = part.item_factors.astype(np.float64), history.toarray()[0] > 0
    confidence = np.where(liked, part.alpha, 1.0)
    left = factors.T @ (confidence[:, None] * factors) + part.regularization * np.eye(FACTORS)
    vector = np.linalg.solve(left, factors.T @ (confidence * liked))
    np.testing.assert_allclose(part.scores(history, codes(UNKNOWN))[0], factors @ vector, rtol=1e-3, atol=1e-4)


def test_popularity_counts_users(learned: dict[str, Part]) -> None:
    weighted = tastes() * 3
    part = parts.kind("popularity").fit(weighted, SMALL["popularity"])
    for scores in (
        part.scores(weighted[:2], codes(0, UNKNOWN)),
        learned["popularity"].scores(tastes()[:2], codes(5, 9)),
    ):
        np.testing.assert_array_equal(scores, np.tile(tastes().toarray().sum(axis=0), (2, 1)))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 3)])
def test_the_smallest_data_is_learned_and_whoever_has_seen_all_gets_nothing(name: str, shape: tuple[int, int]) -> None:
    matrix = csr_matrix(np.ones(shape, dtype=np.float32))
    part = parts.kind(name).fit(matrix, SMALL[name])
    for users in (np.arange(shape[0], dtype=np.int32), None):
        assert np.isfinite(part.scores(matrix, codes(*[UNKNOWN] * shape[0]) if users is None else users)).all()
        (found,) = recommend(part, matrix, 3, users=users)
        assert (found.items == -1).all()
    nothing_seen = csr_matrix((2, shape[1]), dtype=np.float32)
    (found,) = recommend(part, nothing_seen, 2 * shape[1])  # a user without a history, more than the catalogue has
    assert sorted(found.items[0].tolist()) == [-1] * shape[1] + list(range(shape[1]))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        (csr_matrix((3, 4), dtype=np.float32), "3 users × 4 items has no interactions"),
        (csr_matrix(np.array([[1, np.nan]], dtype=np.float32)), "must be finite and above 0"),
        (csr_matrix(np.array([[1, np.inf]], dtype=np.float32)), "must be finite and above 0"),
        (csr_matrix(np.array([[1, -1]], dtype=np.float32)), "must be finite and above 0"),
    ],
)
def test_what_cannot_be_learned_from_is_told(name: str, matrix: csr_matrix, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parts.kind(name).fit(matrix, SMALL[name])


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("ease", EaseSettings(max_bytes=1 << 20), r"EASE of 30 items needs about 0\.2 GiB.*leave out items"),
        ("als", AlsSettings(max_bytes=1), "ALS of 60 users and 30 items with 64 factors needs.*fewer factors"),
        ("bpr", BprSettings(max_bytes=1), "BPR of 60 users"),
        ("neighbours", NeighbourSettings(max_bytes=1), "100 neighbours of 30 items.*fewer neighbours"),
    ],
)
def test_more_memory_than_is_allowed_is_refused_beforehand(name: str, settings: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parts.kind(name).fit(tastes(), settings)


def test_ease_says_what_its_size_is() -> None:
    needed = parts.kind("ease").memory_bytes(1, 50_000, 1, EaseSettings())
    assert needed == pytest.approx(4 * 50_000**2, rel=0.03)
    assert needed > EaseSettings().max_bytes > parts.kind("ease").memory_bytes(1, 40_000, 10**7, EaseSettings())


@pytest.mark.parametrize(
    "make",
    [
        lambda: EaseSettings(l2=0),
        lambda: AlsSettings(factors=0),
        lambda: AlsSettings(alpha=0),
        lambda: BprSettings(learning_rate=0),
        lambda: BprSettings(iterations=0),
        lambda: NeighbourSettings(neighbours=0),
        lambda: NeighbourSettings(weight="cosin"),
        lambda: NeighbourSettings(b=2),
    ],
)
def test_settings_that_cannot_be_are_told(make: Any) -> None:
    with pytest.raises(SettingError):
        make()


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="no part 'eas'; did you mean 'ease'"):
        parts.kind("eas")
