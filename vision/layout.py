"""How a layer's output lays a picture out: channels first or last, or tokens row by row. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch


class NoGridError(Exception):
    """An output does not lie in a grid."""


@dataclass(frozen=True)
class Layout:
    """How a layer's output becomes images × channels × height × width, and how what became of that takes its place."""

    forth: Callable[[torch.Tensor], torch.Tensor]
    back: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Of the layer's output and the grid: what is not in the grid stays as it was."""


def layout_of(output: Any, *, channels: int, prefix: int, aspect: float) -> Layout:
    """The layout of an output of so many channels, for pictures of height = `aspect` × width.

    Of tokens, `prefix` are no part of the grid and stand before it (class, registers), if the network has added them
    by then. Raises NoGridError for what cannot be a grid.
    """
    if not isinstance(output, torch.Tensor) or output.ndim not in (3, 4):
        raise NoGridError
    if output.ndim == 3:
        return _of_tokens(output.shape[1], prefix, aspect)
    if output.shape[3] == channels != output.shape[1]:
        return Layout(lambda output: output.permute(0, 3, 1, 2), lambda output, grid: grid.permute(0, 2, 3, 1))
    return Layout(lambda output: output, lambda output, grid: grid)


def _of_tokens(tokens: int, prefix: int, aspect: float) -> Layout:
    for before in (prefix, 0):
        count = max(tokens - before, 0)
        height, width = round(sqrt(count * aspect)), round(sqrt(count / aspect))
        if height * width == count > 0:
            return _after(before, height, width)
    raise NoGridError


def _after(prefix: int, height: int, width: int) -> Layout:
    def forth(output: torch.Tensor) -> torch.Tensor:
        images, _, channels = output.shape
        return output[:, prefix:].transpose(1, 2).reshape(images, channels, height, width)

    def back(output: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return torch.cat([output[:, :prefix], grid.flatten(2).transpose(1, 2)], dim=1)

    return Layout(forth, back)
