"""The best items of many users: exact, in blocks of bounded memory, whatever the ties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from brightspark.core.errors import InputError, ModelError, SettingError
from brightspark.recsys.part import Codes, Floats
from brightspark.recsys.top import NOTHING, best, recommend


class Table:
    """A part whose scores are given, by the code of the user; it remembers how large its blocks were."""

    name: ClassVar[str] = "table"

    def __init__(self, table: Floats) -> None:
        self.table = table
        self.blocks: list[int] = []

    @property
    def items(self) -> int:
        return self.table.shape[1]

    def scores(self, histories: csr_matrix, users: Codes) -> Floats:
        self.blocks.append(histories.shape[0])
        return self.table[users]

    def tensors(self) -> dict[str, Any]:
        return {"table": self.table}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any]) -> Self:
        return cls(tensors["table"])


@given(st.lists(st.lists(st.integers(0, 5), min_size=9, max_size=9), min_size=1, max_size=4), st.integers(1, 12))
@settings(max_examples=300, deadline=None)
def test_the_best_go_by_score_and_then_by_number(rows: list[list[int]], k: int) -> None:
    scores = np.array(rows, dtype=np.float32)
    scores[scores == 0] = -np.inf  # what must not be recommended
    items, values = best(scores, k)
    for row, found, said in zip(scores, items, values, strict=True):
        wanted = sorted((item for item in range(9) if row[item] > -np.inf), key=lambda item: (-row[item], item))[:k]
        assert found.tolist() == wanted + [NOTHING] * (k - len(wanted))
        assert said.tolist() == [row[item] for item in wanted] + [-np.inf] * (k - len(wanted))


@given(
    seed=st.integers(0, 2**32 - 1),
    items=st.integers(1, 3_000),
    k=st.integers(1, 60),
    levels=st.sampled_from([1, 2, 30, 10**6]),
    hidden=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
)
@settings(max_examples=200, deadline=None)
def test_large_catalogues_are_exact_as_well(seed: int, items: int, k: int, levels: int, hidden: float) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, levels, (5, items)).astype(np.float32)
    scores[draw.random((5, items)) < hidden] = -np.inf
    found, said = best(scores, k)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    wanted = np.take_along_axis(scores, order, 1)
    for row in range(5):
        there = wanted[row] > -np.inf
        number = int(there.sum())
        assert found[row].tolist() == order[row][there].tolist() + [NOTHING] * (k - number)
        assert said[row].tolist() == wanted[row][there].tolist() + [-np.inf] * (k - number)


@pytest.mark.parametrize("items", [5, 5_000])
def test_nobody_gets_nothing(items: int) -> None:
    assert best(np.empty((0, items), dtype=np.float32), 3)[0].shape == (0, 3)


def case(users: int = 50, items: int = 23) -> tuple[Table, csr_matrix, Codes]:
    draw = np.random.default_rng(0)
    table = Table(draw.integers(0, 9, (users, items)).astype(np.float32))
    seen = csr_matrix(random_array((users, items), density=0.3, rng=draw, dtype=np.float32))
    return table, seen, np.arange(users, dtype=np.int32)


@pytest.mark.parametrize("rows", [1, 7, 50, 1_000])
def test_blocks_change_nothing_and_are_as_small_as_asked(rows: int) -> None:
    part, seen, users = case()
    found = list(recommend(part, seen, 6, users=users, block_bytes=rows * 23 * 4))
    assert part.blocks == [min(rows, 50 - start) for start in range(0, 50, rows)]
    assert np.concatenate([block.users for block in found]).tolist() == users.tolist()
    items = np.concatenate([block.items for block in found])
    for user in users:
        have = set(seen[user].indices.tolist())
        wanted = sorted(set(range(23)) - have, key=lambda item: (-part.table[user, item], item))[:6]
        assert items[user].tolist() == wanted


def test_a_block_is_never_less_than_a_user() -> None:
    part, seen, users = case()
    assert len(list(recommend(part, seen, 3, users=users, block_bytes=1))) == 50


def test_what_cannot_be_is_told() -> None:
    part, seen, users = case()
    with pytest.raises(SettingError, match="k=0"):
        next(recommend(part, seen, 0, users=users))
    with pytest.raises(InputError, match="histories are of 22 items, table was learned from 23"):
        next(recommend(part, seen[:, :22], 3, users=users))
    with pytest.raises(InputError, match="3 users for 50 histories"):
        next(recommend(part, seen, 3, users=users[:3]))
    part.table[7, 3] = np.nan
    with pytest.raises(ModelError, match="table gave scores that are no numbers"):
        next(recommend(part, seen, 3, users=users))
