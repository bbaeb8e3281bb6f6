"""Recommendation on Spark: ratings and items, what is learned from them, and how good it is.

from brightspark.core.session import session
from brightspark.recsys import read_ratings

ratings = read_ratings(session(), "s3://bucket/ratings.parquet", user_col="customer", item_col="product")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.lazy import lazily

if TYPE_CHECKING:
    from brightspark.recsys.read import read_items, read_ratings

_HOMES = {
    "read_items": "brightspark.recsys.read",
    "read_ratings": "brightspark.recsys.read",
}

__all__ = [
    "read_items",
    "read_ratings",
]

__getattr__ = lazily(__name__, _HOMES)
