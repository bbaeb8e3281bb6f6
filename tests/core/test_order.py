"""The order of a training: every row once an epoch, whatever the number of ranks, exact from any position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brightspark.core.order import Order, Position


def taken_by_all(order: Order, position: Position, *, ranks: int, batch_size: int) -> tuple[list[int], list[Position]]:
    """The samples in the order in which all ranks together consume them, and the position after each step."""
    walks = [list(order.batches(position, batch_size=batch_size, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert len({len(walk) for walk in walks}) == 1, "the ranks take unequal numbers of steps"
    samples: list[int] = []
    for step in zip(*walks, strict=True):
        assert len({after for _, after in step}) == 1
        samples += [int(sample) for turn in zip(*[batch for batch, _ in step], strict=True) for sample in turn]
    return samples, [after for _, after in walks[0]]


@settings(deadline=None)
@given(rows=st.integers(1, 40), ranks=st.integers(1, 5), batch_size=st.integers(1, 7), epoch=st.integers(0, 3))
def test_every_row_comes_once_an_epoch_up_to_the_padding(rows: int, ranks: int, batch_size: int, epoch: int) -> None:
    order = Order(rows=rows, seed=3)
    samples, after = taken_by_all(order, Position(epoch=epoch), ranks=ranks, batch_size=batch_size)
    assert sorted(samples[:rows]) == list(range(rows))
    padding = samples[rows:]
    assert len(padding) < ranks * batch_size
    assert padding == [int(order.permutation(epoch)[place % rows]) for place in range(len(padding))]
    assert after[-1] == Position(epoch=epoch + 1)
    assert len(after) == order.steps(ranks * batch_size)


@settings(deadline=None)
@given(rows=st.integers(1, 40), before=st.integers(1, 4), afterwards=st.integers(1, 4), steps=st.integers(0, 9))
def test_another_number_of_ranks_goes_on_in_the_same_order(rows: int, before: int, afterwards: int, steps: int) -> None:
    order = Order(rows=rows, seed=5)
    samples, positions = taken_by_all(order, Position(), ranks=before, batch_size=3)
    stop = [Position(), *positions][min(steps, len(positions) - 1)]
    seen = samples[: stop.consumed]
    resumed, _ = taken_by_all(order, stop, ranks=afterwards, batch_size=2)
    assert [*seen, *resumed][:rows] == [int(sample) for sample in order.permutation(0)]


def test_orders_differ_by_epoch_and_by_seed_and_repeat() -> None:
    order = Order(rows=1000, seed=1)
    assert np.array_equal(order.permutation(4), Order(rows=1000, seed=1).permutation(4))
    assert not np.array_equal(order.permutation(4), order.permutation(5))
    assert not np.array_equal(order.permutation(4), Order(rows=1000, seed=2).permutation(4))


def test_without_shuffling_rows_come_as_they_are() -> None:
    assert list(Order(rows=6, shuffle=False).permutation(9)) == list(range(6))


@pytest.mark.parametrize("rows", [10, 100_000])
def test_an_order_takes_four_bytes_a_row(rows: int) -> None:
    assert Order(rows=rows).permutation(0).nbytes == 4 * rows


def test_rows_are_drawn_by_their_weights() -> None:
    weights = np.ones(1000)
    weights[0] = 999  # as much as all others together
    order = Order(rows=1000, seed=3, weights=weights)
    drawn = order.permutation(epoch=0)
    assert len(drawn) == 1000
    assert 430 < (drawn == 0).sum() < 570
    assert (drawn == order.permutation(epoch=0)).all()
    assert not (drawn == order.permutation(epoch=1)).all()


@settings(deadline=None)
@given(rows=st.integers(1, 90), together=st.integers(1, 5), ranks=st.integers(1, 3), epoch=st.integers(0, 2))
def test_with_lengths_every_row_comes_once_an_epoch(rows: int, together: int, ranks: int, epoch: int) -> None:
    order = Order(rows=rows, seed=3, lengths=np.arange(rows) % 7, together=together)
    samples, _ = taken_by_all(order, Position(epoch=epoch), ranks=ranks, batch_size=together)
    assert sorted(samples[:rows]) == list(range(rows))


def test_like_lengths_share_a_batch_in_another_order_each_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 500, 6_400)
    mixed, alike = (Order(rows=6_400, seed=1, lengths=which, together=32) for which in (None, lengths))

    def padded(order: Order, epoch: int) -> float:
        batches = lengths[order.permutation(epoch)].reshape(-1, 32)
        return float((batches.max(axis=1) * 32).sum() / lengths.sum())

    assert padded(mixed, 0) > 1.8
    assert padded(alike, 0) < 1.1
    firsts = lengths[alike.permutation(0)].reshape(-1, 32)[:, 0]
    assert abs(np.corrcoef(firsts[1:], firsts[:-1])[0, 1]) < 0.3, "short and long batches do not alternate at random"
    assert not np.array_equal(alike.permutation(0), alike.permutation(1))


def test_rows_drawn_by_weight_stand_by_length_too() -> None:
    order = Order(rows=640, seed=3, weights=np.arange(640.0), lengths=np.arange(640), together=32)
    drawn = order.permutation(0)
    assert np.array_equal(np.sort(drawn), np.sort(Order(rows=640, seed=3, weights=np.arange(640.0)).permutation(0)))
    assert np.ptp(drawn.reshape(-1, 32), axis=1).mean() < 100  # 600 where they are mixed
