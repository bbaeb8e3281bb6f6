"""What a solution tells the training loop of its domain: a `Task`, a handful of functions that know nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

Record = Mapping[str, Any]
Example = Any
Batch = Any
Sums = Mapping[str, float]


class Loss(NamedTuple):
    """The losses of a batch added up, and what they are to be divided by: the number of examples, or their weights.

    The division is left to the loop, which divides by the weight of all ranks' batches together: so the step does not
    depend on how the examples fall to ranks, to parts of an accumulated batch, or on records that were skipped.
    """

    total: torch.Tensor
    weight: float | torch.Tensor


def no_sums(module: torch.nn.Module, batch: Batch) -> Sums:
    """For a task that measures nothing but its loss."""
    return {}


def as_they_are(sums: Sums) -> Mapping[str, float]:
    """Sums as metrics."""
    return sums


@dataclass(frozen=True, kw_only=True)
class Task:
    """A domain as functions: what the loop needs to know to train on images, texts, recordings or ratings.

    Records come one by one through `example` and `collate`, or by the batch through `batch`. These run in loader
    processes and must be picklable: module-level functions, or `partial` of one.
    """

    module: torch.nn.Module
    """The network, its weights as training starts."""

    columns: tuple[str, ...]
    """The staged columns that a record has."""

    example: Callable[[Record, bool], Example] | None = None
    """One record decoded and, where the flag says that it is for training, augmented.

    Python's, numpy's and torch's random numbers are seeded before each call, by (seed, epoch, the record's place in
    the epoch's order). It may raise: then the record is skipped and counted.
    """

    collate: Callable[[Sequence[Example]], Batch] | None = None
    """Examples as one batch of tensors (a tensor, or a mapping or tuple of tensors), on the CPU."""

    batch: Callable[[pa.Table, bool], Batch] | None = None
    """Rows of an Arrow table as one batch, for columns of numbers, where a call for each record would cost more than
    the network. Random numbers are seeded by (seed, epoch, the first row's place). Where it raises, it is called for
    each row alone, to find those that are to be skipped.
    """

    loss: Callable[[torch.nn.Module, Batch], Loss]
    """The loss of a batch, given the module to call (wrapped for several ranks) and the batch on its device."""

    measure: Callable[[torch.nn.Module, Batch], Sums] = no_sums
    """Numbers of a validation batch that add up over batches and ranks: hits, rows, squared errors."""

    metrics: Callable[[Sums], Mapping[str, float]] = as_they_are
    """The metrics, from those sums over all of the validation rows."""

    depth: Callable[[str], int] | None = None
    """How deep in the network a parameter lies, by its name, 0 at the input: for layer-wise rates."""

    frozen: Callable[[str], bool] | None = None
    """Whether a parameter, by its name, is left as it is. A norm that has none but such keeps its statistics too."""

    weigh: Callable[[pa.Table], NDArray[np.float64]] | None = None
    """How often each row of a table of `weigh_columns` is to be drawn, relative to the others. An epoch then draws as
    many rows as there are, with replacement; without it, each row once.
    """

    weigh_columns: tuple[str, ...] = ()

    length: str | None = None
    """The staged column of numbers that tell how long a record is, where the shorter ones of a batch are padded: like
    lengths then share a batch. With `window_rows` it is not looked at.
    """

    def __post_init__(self) -> None:
        one_by_one = self.example is not None and self.collate is not None
        if one_by_one == (self.batch is not None) or (self.example is None) != (self.collate is None):
            raise TypeError("a Task needs either example and collate, or batch")


def to_device(batch: Batch, device: torch.device) -> Batch:
    """A batch's tensors on a device, whatever holds them."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: to_device(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [to_device(part, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch


def added(sums: Iterable[Sums]) -> dict[str, float]:
    """Sums added up by name.

    >>> added([{"rows": 2}, {"rows": 3, "hits": 1}])
    {'rows': 5, 'hits': 1}
    """
    total: dict[str, float] = {}
    for one in sums:
        for name, value in one.items():
            total[name] = total.get(name, 0) + value
    return total
