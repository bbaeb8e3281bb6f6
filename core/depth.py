"""Which parameters learn, by how deep in the network they lie: 0 at the input, the classifier the deepest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from brightspark.core.errors import SettingError


def by_depth(depth: Mapping[str, int], trained_blocks: int | None) -> dict[str, Any]:
    """The arguments `depth` and `frozen` of a `Task`, from the depth of each parameter.

    `trained_blocks` is how many blocks below the deepest learn as well; None for all.
    Raises SettingError for more blocks than there are.
    """
    frozen: Callable[[str], bool] = partial(_is_frozen, depth=depth, first=_first_trained(depth, trained_blocks))
    return {"depth": depth.__getitem__, "frozen": frozen}


def _first_trained(depth: Mapping[str, int], blocks: int | None) -> int:
    if blocks is None:
        return 0
    depths = sorted(set(depth.values()))
    if blocks >= len(depths):
        raise SettingError(f"trained_blocks={blocks}, but the network has {len(depths) - 1} below its classifier")
    return depths[len(depths) - 1 - blocks]


def _is_frozen(name: str, *, depth: Mapping[str, int], first: int) -> bool:
    return depth[name] < first
