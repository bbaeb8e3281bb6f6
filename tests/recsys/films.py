"""A small made-up world for recommenders: users who like one of a few kinds of films."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

KINDS = ("comedy", "crime", "war", "music")
FILMS = 60  # a quarter of each kind, in turn
USERS = 120


def ratings(users: int = USERS, seed: int = 0) -> list[tuple[str, int, float]]:
    """User, film and rating: two thirds of what a user has seen is of his kind."""
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        liked = [film for film in range(FILMS) if film % len(KINDS) == user % len(KINDS)]
        seen = {*draw.choice(liked, 8, replace=False), *draw.integers(0, FILMS, 4)}
        rows += [(f"user {user}", int(film), float(draw.integers(1, 6))) for film in sorted(seen)]
    return rows


def rated(spark: SparkSession, users: int = USERS, seed: int = 0) -> DataFrame:
    return spark.createDataFrame(ratings(users, seed), "user string, item long, rating double")


def films(spark: SparkSession, more: int = 0) -> DataFrame:
    """What is known of the films, and of some that nobody has seen."""
    rows = [(film, f"Film {film}", KINDS[film % len(KINDS)]) for film in range(FILMS + more)]
    return spark.createDataFrame(rows, "item long, title string, kind string")
