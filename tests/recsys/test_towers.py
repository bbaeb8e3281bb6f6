"""Two towers answer users whom they never saw and items that nobody has rated, and are learned the same way twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from brightspark import samples
from brightspark.core.errors import InputError, SettingError
from brightspark.core.journal import read_journal
from brightspark.recsys.histories import Histories, write_histories
from brightspark.recsys.part import UNKNOWN
from brightspark.recsys.popularity import PopularitySettings
from brightspark.recsys.popularity import fit as fit_popularity
from brightspark.recsys.top import recommend
from brightspark.recsys.towers import Towers
from brightspark.recsys.towers_fit import fit, train_towers
from brightspark.recsys.towers_net import TwoTowers
from brightspark.recsys.towers_settings import TowersSettings
from tests.core.trainings import set_back

USERS, ITEMS, COLD = 60, 30, (4, 5, 10, 11)  # COLD: items that nobody has rated
SMALL: Mapping[str, Any] = {"embedding_dim": 8, "epochs": 25, "batch_size": 20, "learning_rate": 0.02, "dropout": 0.2}

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRIGHTSPARK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def tastes(seed: int = 0) -> csr_matrix:
    """Even users like even items, odd ones odd items, all some at random; nobody has rated COLD."""
    draw = np.random.default_rng(seed)
    alike = (np.arange(USERS)[:, None] + np.arange(ITEMS)) % 2 == 0
    liked = draw.random((USERS, ITEMS)) < np.where(alike, 0.5, 0.04) * np.linspace(1.4, 0.6, ITEMS)
    liked[:, COLD] = False
    return csr_matrix(liked.astype(np.float32))


def features() -> Any:
    """Whether an item is even, and chance."""
    noise = np.random.default_rng(1).random((ITEMS, 2))
    return np.column_stack([np.arange(ITEMS) % 2 == 0, noise]).astype(np.float32)


def unknown(matrix: csr_matrix) -> Any:
    return np.full(matrix.shape[0], UNKNOWN, dtype=np.int32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Towers, Path]:
    folder = tmp_path_factory.mktemp("towers")
    return train(folder, keep_snapshots=99), folder


def train(folder: Path, **more: Any) -> Towers:
    settings = TowersSettings(**{**SMALL, **more})
    if not (folder / "rows").exists():
        write_histories(tastes(), folder / "rows", features=features(), max_history=1_000, validation_share=0.2, seed=3)
    parts = {name: str(folder / "rows" / name) for name in ("training", "validation", "features")}
    return train_towers(None, Histories(ITEMS, **parts), str(folder / "run"), settings)


def test_users_get_what_is_to_their_taste_whether_they_were_in_training_or_not(trained: tuple[Towers, Path]) -> None:
    part, _ = trained
    rated = csr_matrix(np.isin(np.arange(ITEMS), COLD)[None].repeat(USERS, 0).astype(np.float32))
    for seed in (0, 1):
        matrix = tastes(seed)
        scores = part.scores(matrix, unknown(matrix)) - 1e9 * (matrix + rated).toarray()
        best = np.argsort(-scores, axis=1)[:, :3]
        assert ((best + np.arange(USERS)[:, None]) % 2 == 0).mean() > 0.9


def test_items_that_nobody_rated_are_ranked_by_their_features(trained: tuple[Towers, Path]) -> None:
    part, _ = trained
    scores = part.scores(tastes(1), unknown(tastes(1)))[:, COLD]
    best = np.array(COLD)[np.argsort(-scores, axis=1)[:, :2]]
    assert ((best + np.arange(USERS)[:, None]) % 2 == 0).mean() > 0.9
    later = part.with_new_items(features()[list(COLD)])
    assert later.items == ITEMS + len(COLD)
    wider = csr_matrix((tastes(1).data, tastes(1).indices, tastes(1).indptr), shape=(USERS, later.items))
    np.testing.assert_allclose(later.scores(wider, unknown(wider))[:, ITEMS:], scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(part.vectors_of(features())[list(COLD)], part.item_vectors[list(COLD)], atol=1e-6)
    with pytest.raises(InputError, match=r"shape \(2, 5\) are not those that the towers learned: want items × 3"):
        part.vectors_of(np.zeros((2, 5), dtype=np.float32))


def test_an_item_that_nobody_rated_tells_nothing_of_a_user(trained: tuple[Towers, Path]) -> None:
    part, _ = trained
    with_cold = tastes(1).tolil()
    with_cold[:, COLD[0]] = 1
    np.testing.assert_array_equal(part.user_vectors(with_cold.tocsr()), part.user_vectors(tastes(1)))


def test_a_user_is_answered_as_the_network_answered_in_training(trained: tuple[Towers, Path]) -> None:
    part, folder = trained
    network = TwoTowers(
        torch.from_numpy(np.asarray(tastes().astype(bool).sum(axis=0)).ravel()),
        torch.from_numpy(features()),
        dim=8,
        dropout=0.5,
        id_dropout=0.5,
    ).eval()
    network.load_state_dict({name: torch.from_numpy(each) for name, each in weights(folder).items()})
    matrix = tastes(1) * 3  # how much an item was liked makes no difference
    batch = {"history": torch.from_numpy(matrix.indices).long(), "offsets": torch.from_numpy(matrix.indptr[:-1]).long()}
    with torch.no_grad():
        answered = network.users(batch) @ network.vectors(torch.arange(ITEMS)).T + network.biases
    np.testing.assert_allclose(part.scores(matrix, unknown(matrix)), answered.numpy(), rtol=1e-4, atol=1e-5)


def weights(folder: Path) -> dict[str, Any]:
    return dict(load_file(folder / "run" / "weights.safetensors"))


def test_the_same_training_gives_the_same_towers_and_a_file_keeps_them(tmp_path: Path) -> None:
    settings = TowersSettings(**{**SMALL, "epochs": 3})
    one, other = (fit(tastes(), settings, features()) for _ in range(2))
    save_file(one.tensors(), tmp_path / "towers.safetensors")
    kept = Towers.from_tensors(load_file(tmp_path / "towers.safetensors"))
    for again in (other, kept):
        assert again.tensors().keys() == one.tensors().keys()
        for name, tensor in one.tensors().items():
            np.testing.assert_array_equal(again.tensors()[name], tensor)
    elsewhere = fit(tastes(), TowersSettings(**{**SMALL, "epochs": 3, "seed": 1}), features())
    assert (elsewhere.item_vectors != one.item_vectors).any()


@pytest.mark.parametrize("more", [{}, {"full_softmax_items": 0, "negatives": 5}], ids=["full", "sampled"])
def test_a_training_that_goes_on_ends_with_the_same_weights(more: Mapping[str, Any], tmp_path: Path) -> None:
    chosen = {"epochs": 4, "snapshot_steps": 1, "keep_snapshots": 99, **more}
    train(tmp_path, **chosen)
    whole = weights(tmp_path)
    set_back(tmp_path / "run", 4)
    train(tmp_path, **chosen)
    for name, tensor in weights(tmp_path).items():
        np.testing.assert_array_equal(tensor, whole[name])


def test_validation_tells_the_loss_and_the_ranking_of_users_who_took_no_part(trained: tuple[Towers, Path]) -> None:
    _, folder = trained
    epochs = [line for line in read_journal(folder / "run" / "metrics.jsonl") if line["kind"] == "epoch"]
    assert len(epochs) == SMALL["epochs"]
    assert min(line["loss"] for line in epochs) < 0.95 * epochs[0]["loss"]
    assert max(line["ndcg"] for line in epochs) > 1.1 * epochs[0]["ndcg"]


@pytest.mark.parametrize("negatives", [None, 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 3)])
def test_the_smallest_data_is_learned(shape: tuple[int, int], negatives: int | None) -> None:
    sampled = {} if negatives is None else {"full_softmax_items": 0, "negatives": negatives}
    settings = TowersSettings(**{**SMALL, "epochs": 2, **sampled})
    for matrix in (np.ones(shape), np.eye(*shape)):  # in the second nobody has anything to foretell
        histories = csr_matrix(matrix.astype(np.float32))
        part = fit(histories, settings)
        assert np.isfinite(part.scores(histories, unknown(histories))).all()
        nothing = csr_matrix(shape, dtype=np.float32)
        assert np.isfinite(part.scores(nothing, unknown(nothing))).all()
        (found,) = recommend(part, histories, 2)
        assert found.items.shape == (shape[0], 2)


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(InputError, match="has no interactions"):
        fit(csr_matrix((3, 4), dtype=np.float32), TowersSettings())
    with pytest.raises(InputError, match=r"two towers of 30 items needs about .*smaller embedding_dim"):
        fit(tastes(), TowersSettings(max_bytes=1))
    for wrong in ({"embedding_dim": 0}, {"negatives": 0}, {"max_history": 1}, {"dropout": 1.0}, {"target_share": -1}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            TowersSettings(**wrong)


@pytest.mark.samples
@pytest.mark.slow
def test_new_users_of_real_films_get_far_more_than_what_is_popular() -> None:
    """A fifth of MovieLens' users take no part in training, and say three films that they have seen."""
    import pandas as pd

    ratings = pd.read_parquet(samples.movielens() / "ratings.parquet")
    user, item = (pd.factorize(ratings[name], sort=True)[0] for name in ("user", "item"))
    matrix = csr_matrix((np.ones(len(ratings), dtype=np.float32), (user, item)))
    draw = np.random.default_rng(0)
    new = draw.random(matrix.shape[0]) < 0.2
    truth = matrix[new].tolil()
    told = truth.copy()
    for row in range(truth.shape[0]):
        seen = draw.permutation(matrix[new][row].indices)
        truth[row, seen[:3]], told[row, seen[3:]] = 0, 0
    towers = fit(matrix[~new], TowersSettings(epochs=20))
    popular = fit_popularity(matrix[~new], PopularitySettings())
    hits = []
    for part in (towers, popular):
        (found,) = recommend(part, told.tocsr(), 10)
        hits.append(np.mean([truth[row, list(items)].sum() for row, items in enumerate(found.items)]))
    assert hits[0] > 1.1 * hits[1]
