"""Interactions as they lie on storage for trainers: two maps of ids, and rows in their codes. Knows no Spark."""

from __future__ import annotations

from dataclasses import dataclass

from brightspark.core.manifest import read_manifest
from brightspark.core.shards import Shards

USERS, ITEMS, INTERACTIONS, FEATURES = "users", "items", "interactions", "features"


@dataclass(frozen=True)
class StagedInteractions:
    """What `brightspark.recsys.staging.stage_interactions` wrote."""

    users: Shards
    """`user`, `code`"""
    items: Shards
    """`item`, `code`"""
    interactions: Shards
    """`user` and `item` in these codes, `rating` (float)"""
    features: Shards | None = None
    """`item` in these codes, `features` (array<float>, equally many for all items); None where none were staged."""

    @classmethod
    def open(cls, path: str) -> StagedInteractions:
        """Raises InputError where nothing is staged at `path`, or a staging there has not ended."""
        path = path.rstrip("/")
        # The interactions are written last: where they are, all is.
        interactions = Shards.open(f"{path}/{INTERACTIONS}")
        known = read_manifest(f"{path}/{FEATURES}")
        features = None if known is None else Shards(known)
        return cls(Shards.open(f"{path}/{USERS}"), Shards.open(f"{path}/{ITEMS}"), interactions, features)

    @property
    def shape(self) -> tuple[int, int]:
        """Users and items."""
        return len(self.users), len(self.items)
