"""A small real training for the tests: shards written without Spark, a network with dropout and batch norm, noise."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from brightspark.core.manifest import Manifest, Shard, write_manifest
from brightspark.core.task import Batch, Loss, Record, Sums, Task

WIDTH, CLASSES = 8, 3
BROKEN = -1  # the label of a record that cannot be read


def write_rows(folder: Path, rows: int, *, shards: int = 3, broken: Sequence[int] = ()) -> str:
    """Rows of three overlapping clouds, staged as `stage` does it."""
    generator = np.random.default_rng(7)
    labels = np.arange(rows) % CLASSES
    values = generator.normal(size=(rows, WIDTH)) + labels[:, None] * np.linspace(-1, 1, WIDTH)
    labels = np.where(np.isin(np.arange(rows), broken), BROKEN, labels)
    described = []
    (folder / "data").mkdir(parents=True)
    for number, part in enumerate(np.array_split(np.arange(rows), shards)):
        table = pa.table({"id": part, "values": pa.array(values[part].tolist()), "label": labels[part]})
        pq.write_table(table, folder / "data" / f"{number}.parquet")
        described.append(
            Shard(name=f"data/{number}.parquet", rows=len(part), bytes=1, raw_bytes=1, row_groups=(len(part),))
        )
    columns = {"id": "bigint", "values": "array<double>", "label": "bigint"}
    row_hash = hashlib.sha256(values.tobytes() + labels.tobytes()).hexdigest()
    write_manifest(Manifest(path=str(folder), rows=rows, row_hash=row_hash, columns=columns, shards=tuple(described)))
    return str(folder)


def build(facts: Mapping[str, Any]) -> Task:
    """A task over `write_rows`; `facts` may ask it to write down the order, to be slow, to leave out the norm…"""
    layers: list[nn.Module] = [nn.Linear(WIDTH, 16)]
    layers += [] if facts.get("plain") else [nn.BatchNorm1d(16), nn.Dropout(0.3)]
    layers += [nn.ReLU(), nn.Linear(16, CLASSES)]
    module = nn.Sequential(*layers)
    if "ballast" in facts:  # bytes that make a snapshot take its time
        module.register_parameter("ballast", nn.Parameter(torch.zeros(facts["ballast"] // 4), requires_grad=False))
    if facts.get("tied"):  # two names for one tensor, as language models have them
        module.register_parameter("again", module[-1].weight)
    if os.environ.get("RANK") == str(facts.get("fails_on_rank")):
        raise KeyError("this rank cannot go on")
    one = _Example(**{name: facts[name] for name in ("log", "seconds", "noise", "die_at") if name in facts})
    reading: dict[str, Any] = {"batch": batch} if facts.get("at_once") else {"example": one, "collate": collate}
    if facts.get("uneven"):
        reading["collate"] = collate_uneven
    return Task(
        module=module,
        columns=("id", "values", "label"),
        **reading,
        loss=loss,
        measure=measure,
        metrics=lambda sums: {"accuracy": sums["hits"] / sums["rows"]},
        depth=lambda name: int(name.partition(".")[0]) if "." in name else 0,
        frozen=lambda name: name == "ballast",
        length=facts.get("length"),
    )


class _Example:
    """Decodes a record: adds noise in training, writes down its id, waits, or dies, as it is told."""

    def __init__(self, log: str = "", seconds: float = 0.0, noise: float = 0.1, die_at: int = -1) -> None:
        self.log, self.seconds, self.noise, self.die_at = log, seconds, noise, die_at

    def __call__(self, record: Record, training: bool) -> tuple[torch.Tensor, int, int]:
        if record["label"] == BROKEN:
            raise ValueError("the record is broken")
        if training and record["id"] == self.die_at:
            os.kill(os.getpid(), 9)
        time.sleep(self.seconds if training else 0)
        if training and self.log:
            with Path(self.log, os.environ.get("RANK", "0")).open("a") as file:
                file.write(f"{record['id']}\n")
        values = torch.tensor(record["values"], dtype=torch.float32)
        if training:
            values = values + self.noise * torch.randn(WIDTH)
        return values, record["label"], record["id"]


def collate(examples: Sequence[tuple[torch.Tensor, int, int]]) -> dict[str, torch.Tensor]:
    values, labels, ids = zip(*examples, strict=True)
    return {"values": torch.stack(values), "label": torch.tensor(labels), "id": torch.tensor(ids)}


def collate_uneven(examples: Sequence[tuple[torch.Tensor, int, int]]) -> torch.Tensor:
    return torch.stack([torch.zeros(number + 1) for number in range(len(examples))])


def batch(table: pa.Table, training: bool) -> dict[str, torch.Tensor]:
    """The same at once, without noise."""
    label = table["label"].to_numpy()
    if (label == BROKEN).any():
        raise ValueError("a record is broken")
    values = torch.tensor(np.stack(table["values"].to_numpy()), dtype=torch.float32)
    return {"values": values, "label": torch.tensor(label), "id": torch.tensor(table["id"].to_numpy())}


def loss(module: nn.Module, batch: Batch) -> Loss:
    total = nn.functional.cross_entropy(module(batch["values"]), batch["label"], reduction="sum")
    return Loss(total, len(batch["label"]))


def measure(module: nn.Module, batch: Batch) -> Sums:
    hits = (module(batch["values"]).argmax(1) == batch["label"]).sum()
    return {"hits": float(hits), "rows": float(len(batch["label"]))}
