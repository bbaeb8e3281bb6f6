"""The sequential model foretells what comes next by the order of what came before, for users whom it never saw too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_matrix

from brightspark.core.errors import InputError, SettingError
from brightspark.recsys.matrix import in_time
from brightspark.recsys.part import UNKNOWN, Codes
from brightspark.recsys.parts import learn, load, save
from brightspark.recsys.sasrec import Sasrec
from brightspark.recsys.sasrec_batches import Windows
from brightspark.recsys.sasrec_net import NextItem
from brightspark.recsys.sasrec_settings import SasrecSettings
from brightspark.recsys.sasrec_training import loss

USERS, ITEMS, STEPS, COLD = 80, 24, 9, 23  # COLD: an item that nobody has rated
SMALL: Mapping[str, Any] = {"embedding_dim": 16, "epochs": 40, "batch_size": 16, "learning_rate": 5e-3, "dropout": 0.1}

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRIGHTSPARK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def walks(seed: int = 0) -> tuple[csr_matrix, csr_matrix]:
    """Each user goes round, up or down: the interactions, and their places. The order alone tells what comes next."""
    draw = np.random.default_rng(seed)
    start, way = draw.integers(0, COLD, USERS), draw.choice([-1, 1], USERS)
    items = (start[:, None] + way[:, None] * np.arange(STEPS)) % COLD
    rows, steps = np.nonzero(np.ones_like(items))
    made = [
        csr_matrix((values.astype(np.float32), (rows, items.ravel())), shape=(USERS, ITEMS))
        for values in (np.ones(len(rows)), steps + 1)
    ]
    return made[0], made[1]


def nexts(histories: csr_matrix) -> Codes:
    """What comes after the last item of each walk."""
    rows = histories.indices.reshape(USERS, STEPS)
    found: Codes = (2 * rows[:, -1] - rows[:, -2]) % COLD
    return found


def nobody(number: int = USERS) -> Codes:
    return np.full(number, UNKNOWN, dtype=np.int32)


@pytest.fixture(scope="module")
def part() -> Sasrec:
    matrix, places = walks()
    found = learn("sasrec", matrix, SasrecSettings(**SMALL), places=places)
    assert isinstance(found, Sasrec)
    return found


def test_what_comes_next_goes_by_the_order(part: Sasrec) -> None:
    histories = in_time(*walks(seed=1))
    scores = part.scores(histories, nobody())
    assert (scores.argmax(axis=1) == nexts(histories)).mean() > 0.9
    backwards = csr_matrix(
        (histories.data, histories.indices.reshape(USERS, STEPS)[:, ::-1].ravel(), histories.indptr), histories.shape
    )
    assert (part.scores(backwards, nobody()).argmax(axis=1) == nexts(backwards)).mean() > 0.9


def test_the_same_is_learned_twice_and_comes_back_from_a_file(part: Sasrec, tmp_path: Any) -> None:
    matrix, places = walks()
    again = learn("sasrec", matrix, SasrecSettings(**SMALL), places=places)
    histories = in_time(*walks(seed=2))
    wanted = part.scores(histories, nobody())
    assert np.array_equal(again.scores(histories, nobody()), wanted)
    assert np.array_equal(load(save(part, tmp_path)).scores(histories, nobody()), wanted)


def test_users_are_answered_alike_alone_and_together(part: Sasrec) -> None:
    """Sequences of other lengths stand beside each other, filled up behind their last item."""
    histories = in_time(*walks(seed=3))
    rows = [histories[0].indices[-length:] for length in (1, 4, STEPS)]
    ends = np.cumsum([0, *map(len, rows)])
    together = csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(rows), ends), shape=(3, ITEMS))
    scores = part.scores(together, nobody(3))
    for row in range(3):
        np.testing.assert_allclose(part.scores(together[row], nobody(1))[0], scores[row], rtol=1e-4, atol=1e-5)


def test_an_item_that_nobody_rated_tells_nothing_and_no_history_is_no_failure(part: Sasrec) -> None:
    rows = [[3, 4, 5], [3, COLD, 4, 5, COLD], [COLD], []]
    ends = np.cumsum([0, *map(len, rows)])
    items = np.concatenate([np.array(row, dtype=np.int32) for row in rows])
    histories = csr_matrix((np.ones(len(items), np.float32), items, ends), shape=(4, ITEMS))
    scores = part.scores(histories, nobody(4))
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(scores[2], part.weights["biases"])
    np.testing.assert_array_equal(scores[3], part.weights["biases"])
    assert part.scores(csr_matrix((0, ITEMS), dtype=np.float32), nobody(0)).shape == (0, ITEMS)


def test_what_comes_later_changes_nothing_before_it() -> None:
    torch.manual_seed(0)
    network = NextItem(torch.ones(ITEMS), dim=8, blocks=2, heads=2, dropout=0.0, length=6).eval()
    one = torch.tensor([[1, 2, 3, 4]])
    other = torch.tensor([[1, 2, 9, 0]])
    states = [network.states(each).detach() for each in (one, other)]
    torch.testing.assert_close(states[0][:, :2], states[1][:, :2])
    assert not torch.allclose(states[0][:, 2], states[1][:, 2])


@pytest.mark.parametrize("negatives", [0, 5])
def test_each_item_of_a_window_foretells_the_next_one(negatives: int) -> None:
    users = np.ones(ITEMS, dtype=np.int64)
    users[COLD] = 0
    rows = [[5, 6, 7, COLD, 8, 9], [1], [2, 3], []]
    batch = Windows(users, 3, negatives)(pa.table({"items": pa.array(rows, pa.list_(pa.int32()))}), False)
    assert batch["sequence"].tolist() == [[6, 7, 8], [2, 0, 0]]  # the latest ones, and room for the target
    assert batch["target"].tolist() == [7, 8, 9, 3]
    assert [(int(row), int(place)) for row, place in zip(batch["row"], batch["place"], strict=True)] == [
        (0, 0), (0, 1), (0, 2), (1, 0),
    ]  # fmt: skip
    candidates = batch["candidates"] if negatives else torch.arange(COLD)
    own = candidates[batch["own_place"]]
    assert own.tolist() == batch["target"][batch["own_target"]].tolist()
    assert COLD not in candidates.tolist()


@pytest.mark.parametrize("negatives", [0, 5])
def test_a_batch_of_users_with_one_item_each_has_nothing_to_learn(negatives: int) -> None:
    table = pa.table({"items": pa.array([[1], [COLD, 2], []], pa.list_(pa.int32()))})
    users = np.ones(ITEMS, dtype=np.int64)
    users[COLD] = 0
    batch = Windows(users, 3, negatives)(table, True)
    network = NextItem(torch.from_numpy(users), dim=8, blocks=1, heads=2, dropout=0.0, length=3)
    total, weight = loss(network, batch)
    total.backward()
    assert (total.item(), weight) == (0.0, 0)


def test_drawn_candidates_stand_for_all_in_the_mean() -> None:
    """The sum over drawn items, each divided by how often it was to be expected, is the sum over all."""
    draw = np.random.default_rng(0)
    users = draw.integers(1, 40, 200)
    np.random.seed(0)
    value = draw.random(200)
    found = []
    for _ in range(3_000):
        target = draw.choice(200, 60, p=users / users.sum())
        drawn = Windows(users, 5, 30)._drawn(target)
        found.append((value[drawn["candidates"]] * drawn["drawn"] / drawn["expected"]).sum())
    assert np.mean(found) == pytest.approx(value.sum(), rel=0.02)


def test_what_cannot_be_is_refused() -> None:
    matrix, places = walks()
    with pytest.raises(InputError, match="sasrec learns from the places"):
        learn("sasrec", matrix, SasrecSettings())
    with pytest.raises(InputError, match=r"max_bytes"):
        learn("sasrec", matrix, SasrecSettings(max_bytes=1000), places=places)
    with pytest.raises(SettingError, match="heads=3 must divide embedding_dim=16"):
        SasrecSettings(embedding_dim=16, heads=3)
    with pytest.raises(SettingError, match="dropout=1"):
        SasrecSettings(dropout=1.0)
