"""This process among those that train together, as torchrun's environment names them. Knows no Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
SILENCE = timedelta(minutes=10)  # after which a rank that says nothing counts as dead
PATIENCE = timedelta(hours=12)  # while a node makes its copy of the rows, which others may have already


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Which rank this process is, of how many, and on what it computes."""

    rank: int
    ranks: int
    device: torch.device
    patient: dist.ProcessGroup | None = None
    """All ranks, for what may take long; None where there is one."""

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes snapshots and metrics."""
        return self.rank == 0

    def sums(self, numbers: Sequence[float | torch.Tensor]) -> list[float]:
        """Each number added up over all ranks, in double precision."""
        vector = torch.stack([torch.as_tensor(number, dtype=torch.float64, device=self.device) for number in numbers])
        if self.ranks > 1:
            dist.all_reduce(vector)
        return [float(number) for number in vector]

    def wait(self) -> None:
        """Goes on when all ranks have come here, however long one of them takes."""
        if self.ranks > 1:
            dist.barrier(group=self.patient)

    def agreed(self, value: T) -> T:
        """Rank 0's value, on every rank."""
        if self.ranks == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.patient)
        return values[0]

    def gathered(self, value: T) -> list[T]:
        """Every rank's value, on every rank."""
        if self.ranks == 1:
            return [value]
        values: list[Any] = [None] * self.ranks
        dist.all_gather_object(values, value, group=self.patient)
        return values

    def share_buffers(self, module: torch.nn.Module) -> None:
        """Gives a module's buffers rank 0's values: each rank's norms have seen its own share of the examples."""
        if self.ranks > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


@contextmanager
def joined(*, use_gpu: bool) -> Iterator[Ranks]:
    """Joins the other ranks, over nccl with GPUs and gloo without; alone where torchrun did not start this process."""
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cpu")
    if use_gpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if ranks > 1:
        dist.init_process_group("nccl" if use_gpu else "gloo", timeout=SILENCE)
    try:
        patient: Any = dist.new_group(backend="gloo", timeout=PATIENCE) if ranks > 1 else None
        yield Ranks(rank=rank, ranks=ranks, device=device, patient=patient)
    finally:
        if ranks > 1:
            dist.destroy_process_group()
