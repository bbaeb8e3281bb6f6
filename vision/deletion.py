"""The deletion test: whether heat maps show what a network's answer rests on. Knows torch, no Spark.

Petsiuk et al. 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
https://arxiv.org/abs/1806.07421
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class Deletion(NamedTuple):
    """The explained class's probability for each picture: as it is, and without two equally large parts of it."""

    whole: torch.Tensor
    without_hottest: torch.Tensor
    without_coldest: torch.Tensor

    @property
    def passed(self) -> float:
        """The share of pictures to which the hottest part matters more than the coldest; by chance, a half."""
        return float((self.without_hottest < self.without_coldest).float().mean())


def delete_parts(
    network: torch.nn.Module, batch: torch.Tensor, classes: torch.Tensor, maps: torch.Tensor, *, share: float = 0.2
) -> Deletion:
    """Hides the hottest `share` of each picture's pixels, then the coldest, behind the mean colour.

    `batch` is normalised: zero is the mean colour. `classes` and `maps` are what `GradCam` gave for it.
    """
    heat = maps.flatten(1)
    # A map is zero in many places: which of them are the coldest must not depend on where they are.
    order = torch.randperm(heat.shape[1], generator=torch.Generator().manual_seed(0)).to(heat.device)
    ranked = order[heat[:, order].argsort(dim=1, stable=True)]
    count = round(share * heat.shape[1])
    parts = (ranked[:, :0], ranked[:, heat.shape[1] - count :], ranked[:, :count])
    return Deletion(*(_probability(network, _hidden(batch, part), classes) for part in parts))


def _hidden(batch: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    rows = batch.flatten(2)
    return rows.scatter(2, pixels[:, None].expand(-1, rows.shape[1], -1), 0.0).view_as(batch)


@torch.inference_mode()
def _probability(network: torch.nn.Module, batch: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    probabilities: torch.Tensor = network(batch).softmax(dim=1)
    return probabilities.gather(1, classes[:, None])[:, 0]
