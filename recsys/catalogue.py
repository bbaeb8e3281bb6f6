"""Users and items by their ids, and what users have turned to: what a recommender knows beside its parts.

Knows neither Spark nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from brightspark.core.errors import ArtifactError
from brightspark.recsys.part import UNKNOWN, Codes

USERS, ITEMS, HISTORIES = "users.parquet", "items.parquet", "histories.safetensors"


@dataclass(frozen=True)
class Catalogue:
    """The ids in the order of their codes, and the histories of the users that were learned from."""

    users: pa.Array
    items: pa.Array
    names: pa.Array | None
    """What to call each item, where it has a name (string)."""
    histories: csr_matrix
    """Users × items, each row in the order of the user's time."""

    def user_codes(self, ids: Sequence[Any]) -> Codes:
        """UNKNOWN for who was not learned from, and for null."""
        return _codes(self._users, ids)

    def item_codes(self, ids: Sequence[Any]) -> Codes:
        """UNKNOWN for what is not in the catalogue, and for null."""
        return _codes(self._items, ids)

    def item_code(self, item: Any) -> int:
        """The code of one item; UNKNOWN as above."""
        try:
            found = self._items.get_loc(item)
        except (KeyError, TypeError):
            return UNKNOWN
        return found if isinstance(found, int) else UNKNOWN

    @cached_property
    def _users(self) -> pd.Index[Any]:
        found: pd.Index[Any] = pd.Index(self.users.to_pandas())
        return found

    @cached_property
    def _items(self) -> pd.Index[Any]:
        found: pd.Index[Any] = pd.Index(self.items.to_pandas())
        return found

    def ids(self, items: Codes) -> list[Any]:
        """What the tables call items."""
        found: list[Any] = self.items.take(pa.array(items)).to_pylist()
        return found

    def name(self, item: int) -> str:
        """What to call an item: its name, or where there is none, or a blank one, its id."""
        named = None if self.names is None else self.names[item].as_py()
        return str(named) if named is not None and named.strip() else str(self.items[item].as_py())

    def histories_of(self, users: Codes, told: Sequence[Codes | None]) -> tuple[csr_matrix, Codes]:
        """The histories of users, a row each, and their codes as parts want them; items are told once each, in order.

        Who is `told` of is known by that alone: his code is UNKNOWN. An unknown user of whom nothing is told has an
        empty history.
        """
        kept = np.where([items is not None for items in told], UNKNOWN, users).astype(np.int32)
        rows = []
        for code, items in zip(kept, told, strict=True):
            if items is not None:
                rows.append(items)
            elif code == UNKNOWN:
                rows.append(np.empty(0, dtype=np.int32))
            else:
                rows.append(self.histories.indices[slice(*self.histories.indptr[code : code + 2])])
        ends = np.cumsum([0, *map(len, rows)])
        ones = np.ones(ends[-1], dtype=np.float32)
        shape = (len(rows), len(self.items))
        return csr_matrix((ones, np.concatenate([*rows, np.empty(0, dtype=np.int32)]), ends), shape=shape), kept

    def save(self, folder: Path) -> None:
        """Writes ids and names as Parquet, histories as safetensors."""
        from safetensors.numpy import save_file

        pq.write_table(pa.table({"user": self.users}), folder / USERS)
        columns = {"item": self.items, **({} if self.names is None else {"name": self.names})}
        pq.write_table(pa.table(columns), folder / ITEMS)
        held = {"ends": self.histories.indptr.astype(np.int64), "items": self.histories.indices.astype(np.int32)}
        save_file(held, folder / HISTORIES)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote; raises ArtifactError where it cannot be read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            users = pq.read_table(folder / USERS).column("user").combine_chunks()
            items = pq.read_table(folder / ITEMS)
            held = load_file(folder / HISTORIES)
            values = np.ones(len(held["items"]), dtype=np.float32)
            shape = (len(users), items.num_rows)
            histories = csr_matrix((values, held["items"], held["ends"]), shape=shape)
        except (OSError, KeyError, ValueError, pa.ArrowException, SafetensorError) as error:
            raise ArtifactError(f"{folder} holds no recommender's catalogue: {error}") from error
        names = items.column("name").combine_chunks() if "name" in items.column_names else None
        return cls(users, items.column("item").combine_chunks(), names, histories)


def _codes(index: pd.Index[Any], ids: Sequence[Any]) -> Codes:
    asked: pd.Index[Any] = pd.Index(list(ids), dtype="object" if index.dtype == object else "Int64")
    codes: Codes = index.get_indexer(asked).astype(np.int32)
    return codes
