"""resnet18 at 128 pixels on two ranks: our loop, and the script that one would write by hand. Both import this file."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

SIZE, CLASSES, BATCH, EPOCHS, WORKERS, RANKS = 128, 10, 64, 2, 1, 2
RATE, DECAY, WARMUP = 1e-3, 0.05, 0.05
FIRST = 8  # steps before the clock starts


def network() -> torch.nn.Module:
    import timm

    torch.manual_seed(0)
    return timm.create_model("resnet18", num_classes=CLASSES)


def transform() -> Any:
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop(SIZE, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )


def decode(content: bytes) -> Any:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


# Our loop.


class Augment:
    """A record as an augmented picture and its label."""

    def __init__(self) -> None:
        self.transform = transform()

    def __call__(self, record: Mapping[str, Any], training: bool) -> tuple[torch.Tensor, int]:
        return self.transform(decode(record["content"])), record["label"]


def collate(examples: Sequence[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = zip(*examples, strict=True)
    return torch.stack(pictures), torch.tensor(labels)


def loss(module: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> Any:
    from brightspark.core.cross_entropy import cross_entropy

    return cross_entropy(module(batch[0]), batch[1])


def build(facts: Mapping[str, Any]) -> Any:
    from brightspark.core.task import Task

    return Task(module=network(), columns=("content", "label"), example=Augment(), collate=collate, loss=loss)


# By hand: DistributedDataParallel over a list in memory.


class Listed(torch.utils.data.Dataset[Any]):
    """The encoded pictures in a list, decoded and augmented when they are asked for."""

    def __init__(self, records: list[tuple[bytes, int]]) -> None:
        self.records, self.transform = records, transform()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        content, label = self.records[number]
        return self.transform(decode(content)), label


def by_hand(folder: str, out: str) -> None:
    """One rank; rank 0 writes samples a second into `out`."""
    import pyarrow.parquet as pq
    from torch import distributed as dist
    from torch.nn.parallel import DistributedDataParallel
    from torch.utils.data import DataLoader, DistributedSampler

    dist.init_process_group("gloo")
    table = pq.read_table([str(file) for file in sorted(Path(folder).glob("data-*/*.parquet"))])
    records = list(zip(table["content"].to_pylist(), table["label"].to_pylist(), strict=True))
    dataset = Listed(records)
    sampler: DistributedSampler[Any] = DistributedSampler(dataset, seed=0)
    loader = DataLoader(
        dataset, batch_size=BATCH // RANKS, sampler=sampler, num_workers=WORKERS, persistent_workers=True
    )
    model = DistributedDataParallel(network())
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=WARMUP)
    step, samples, began = 0, 0, 0.0
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for pictures, labels in loader:
            with torch.autocast("cpu", torch.bfloat16):
                value = torch.nn.functional.cross_entropy(model(pictures), labels)
            value.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            value.item()  # whoever trains looks at the loss
            step += 1
            if step == FIRST:
                began = time.perf_counter()
            elif step > FIRST:
                samples += len(labels) * RANKS
    if dist.get_rank() == 0:
        Path(out).write_text(json.dumps(samples / (time.perf_counter() - began)))
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    by_hand(sys.argv[1], sys.argv[2])
