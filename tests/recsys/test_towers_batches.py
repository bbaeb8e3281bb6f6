"""What two towers learn from: some items foretell others, and drawn candidates stand for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from brightspark.core.batches import seed_processor
from brightspark.recsys.towers_batches import Batches
from brightspark.recsys.towers_net import TwoTowers
from brightspark.recsys.towers_training import measure, metrics

USERS, ITEMS, TOGETHER = 400, 40, 25
SHARE = 0.4

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def histories() -> list[list[int]]:
    """Few items are liked by many users; the last ones by nobody."""
    draw = np.random.default_rng(0)
    chance = np.concatenate([np.linspace(0.9, 0.02, ITEMS - 3) ** 2, np.zeros(3)])
    return [np.flatnonzero(draw.random(ITEMS) < chance).tolist() for _ in range(USERS)]


@pytest.fixture(scope="module")
def users(histories: list[list[int]]) -> Any:
    return np.bincount(np.concatenate(histories).astype(int), minlength=ITEMS)


@pytest.fixture(scope="module")
def network(users: Any) -> TwoTowers:
    """With opinions strong enough that a softmax over them is far from even."""
    torch.manual_seed(0)
    made = TwoTowers(torch.from_numpy(users), None, dim=6, dropout=0.3, id_dropout=0.0).eval()
    with torch.no_grad():
        for each in (made.items, made.histories):
            each.weight *= 20
    return made


def table(rows: list[list[int]]) -> pa.Table:
    return pa.table({"items": pa.array(rows, pa.list_(pa.int32()))})


def test_some_items_of_each_user_foretell_the_others(histories: list[list[int]], users: Any) -> None:
    batches, rows = Batches(users, SHARE, 0), [*histories[:50], [], [3], [ITEMS - 1, 3]]
    shares = []
    for epoch in range(20):
        seed_processor(0, epoch, 0)
        batch = batches(table(rows), True)
        given = np.split(batch["history"].numpy(), batch["offsets"].numpy()[1:])
        wanted = [batch["target"][batch["target_user"] == user].numpy() for user in range(len(given))]
        enough = [row for row in rows[:50] if len(row) > 1]  # nobody else has one to foretell another by
        assert [sorted([*some, *others]) for some, others in zip(given, wanted, strict=True)] == enough
        assert all(len(some) and len(others) for some, others in zip(given, wanted, strict=True))
        shares.append(len(batch["target"]) / (len(batch["history"]) + len(batch["target"])))
    assert np.mean(shares) == pytest.approx(SHARE, abs=0.05)
    assert len(set(shares)) > 10


def test_nobody_with_two_items_is_a_batch_without_a_loss(network: TwoTowers, users: Any) -> None:
    for negatives in (0, 5):
        batch = Batches(users, SHARE, negatives)(table([[3], [], [ITEMS - 1, 2]]), True)
        found = network(batch)
        assert found.shape == (0,)
        found.sum().backward()
        assert np.isnan(metrics(measure(network, batch))["ndcg"])
    network.zero_grad(set_to_none=True)


def test_the_full_softmax_is_over_all_rated_items_but_the_history(
    network: TwoTowers, histories: list[list[int]], users: Any
) -> None:
    seed_processor(1)
    batch = Batches(users, SHARE, 0)(table(histories[:TOGETHER]), True)
    with torch.no_grad():
        found = network(batch)
        scores = network.users(batch) @ network.items.weight.T + network.biases
        scores[:, users == 0] = -torch.inf
        sizes = torch.diff(batch["offsets"], append=torch.tensor([len(batch["history"])]))
        scores[torch.repeat_interleave(torch.arange(len(sizes)), sizes), batch["history"]] = -torch.inf
        wanted = torch.log_softmax(scores, 1)[batch["target_user"], batch["target"]]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_drawn_candidates_give_the_full_sum_in_the_mean(
    network: TwoTowers, histories: list[list[int]], users: Any
) -> None:
    """And would not without the correction for how often each is drawn."""
    corrected, raw = [], []
    for trial in range(400):
        rows = table([histories[user] for user in np.random.default_rng(trial).permutation(USERS)[:TOGETHER]])
        full, drawn = (seeded(Batches(users, SHARE, negatives), rows, trial) for negatives in (0, 30))
        assert torch.equal(full["target"], drawn["target"])
        with torch.no_grad():
            exact, estimated = network(full), network(drawn)
            uncorrected = network({name: part for name, part in drawn.items() if name != "drawn"})
        # Where a target's own score is the same, this is one sum over the other.
        corrected.append(torch.exp(exact - estimated).mean().item())
        raw.append(torch.exp(exact - uncorrected).mean().item())
    error = np.std(corrected) / np.sqrt(len(corrected))
    assert abs(np.mean(corrected) - 1) < 4 * error < 0.02
    assert abs(np.mean(raw) - 1) > 10 * error


def seeded(batches: Batches, rows: pa.Table, trial: int) -> Mapping[str, torch.Tensor]:
    seed_processor(0, trial)
    return batches(rows, True)


def test_candidates_are_bounded(histories: list[list[int]], users: Any) -> None:
    batch = Batches(users, SHARE, 7)(table(histories), True)
    assert len(batch["candidates"]) <= 14
    assert batch["drawn"].sum() == 14
    assert (users[batch["candidates"].numpy()] > 0).all()


@pytest.mark.parametrize("block", [1, 1 << 24])
def test_ndcg_is_that_of_a_list_over_all_rated_items(
    network: TwoTowers, histories: list[list[int]], users: Any, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brightspark.recsys.towers_training.BLOCK", block)
    batch = seeded(Batches(users, SHARE, 0), table(histories[:TOGETHER]), 5)
    with torch.no_grad():
        found = metrics(measure(network, batch))["ndcg"]
        scores = (network.users(batch) @ network.items.weight.T + network.biases).numpy()
    each = []
    for user, given in enumerate(np.split(batch["history"].numpy(), batch["offsets"].numpy()[1:])):
        wanted = set(batch["target"][batch["target_user"] == user].tolist())
        order = [item for item in np.argsort(-scores[user]) if item not in given and users[item]][:10]
        gain = sum(1 / np.log2(place + 2) for place, item in enumerate(order) if item in wanted)
        each.append(gain / sum(1 / np.log2(place + 2) for place in range(min(10, len(wanted)))))
    assert found == pytest.approx(np.mean(each), rel=1e-5)
