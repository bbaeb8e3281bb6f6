"""Columns of numbers into batches of tensors, against the private feed of Spark's TorchDistributor."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import apart
import numpy as np
import pyarrow as pa
import torch

from training import data, table

OURS, THEIR_FEED = "brightspark, a batch at once", "TorchDistributor's feed"
ROWS, THEIRS = 1_000_000, 100_000  # theirs is slower, and its rate does not depend on the number
BATCH = 1024
GOAL = 10


def measure(rounds: int) -> dict[str, Any]:
    folder = str(data.numbers(ROWS))
    apart.call("training.feed:ours", folder=folder, at_once=True, workers=0)  # makes the node's copy
    contenders = {
        f"{name}, {workers} loader processes": lambda function=function, told=told, workers=workers: apart.call(
            f"training.feed:{function}", folder=folder, workers=workers, **told
        )
        for workers in (0, 1)  # theirs allows one
        for name, function, told in (
            (OURS, "ours", {"at_once": True}),
            ("brightspark, row by row", "ours", {"at_once": False}),
            (THEIR_FEED, "theirs", {}),
        )
    }
    rates = table.rounds(contenders, rounds, "rows/s")
    ours, theirs = (
        max((name for name in rates if name.startswith(feed)), key=lambda name: median(rates[name].values()))
        for feed in (OURS, THEIR_FEED)
    )
    return table.judged(rates, "rows/s", {(ours, theirs): GOAL})


def make_batch(rows: pa.Table, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Values as float32, rows × columns, and labels."""
    values = np.stack(
        [rows[f"x{number}"].to_numpy() for number in range(data.NUMBERS)], axis=1, dtype=np.float32, casting="same_kind"
    )
    return torch.from_numpy(values), torch.tensor(rows["label"].to_numpy())


def make_example(row: dict[str, Any], training: bool) -> tuple[torch.Tensor, int]:
    return torch.tensor([row[f"x{number}"] for number in range(data.NUMBERS)]), row["label"]


def collate(examples: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    values, labels = zip(*examples, strict=True)
    return torch.stack(values), torch.tensor(labels)


def ours(folder: str, at_once: bool, workers: int) -> float:
    from brightspark.core.loader import training_batches
    from brightspark.core.order import Order, Position
    from brightspark.core.shards import Shards
    from brightspark.core.task import Task

    shards = Shards.open(folder)
    columns = tuple(shards.manifest.columns)
    reading: dict[str, Any] = {"batch": make_batch} if at_once else {"example": make_example, "collate": collate}
    task = Task(module=torch.nn.Identity(), columns=columns, loss=_no_loss, **reading)
    rows = len(shards) if at_once else THEIRS
    batches = training_batches(
        shards.rows(columns), task, order=Order(rows=rows), position=Position(), epochs=1, batch_size=BATCH,
        workers=workers,
    )  # fmt: skip
    return _rate(loaded.taken.batch[1] for loaded in batches)


def _no_loss(module: torch.nn.Module, batch: Any) -> Any:
    raise NotImplementedError


def theirs(folder: str, workers: int) -> float:
    """Spark gives each rank its partition as an Arrow file with its usual batches of 10,000 rows."""
    import pyarrow.parquet as pq
    from pyspark.ml.torch import distributor
    from pyspark.sql.types import DoubleType, LongType, StructField, StructType

    rows = pq.read_table(next(Path(folder).glob("data-*/*.parquet"))).slice(0, THEIRS)
    with tempfile.TemporaryDirectory() as scratch:
        with pa.OSFile(f"{scratch}/rows", "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=10_000)
        fields = [StructField(name, LongType() if name == "label" else DoubleType()) for name in rows.column_names]
        Path(scratch, "schema").write_text(StructType(fields).json())
        os.environ[distributor.SPARK_PARTITION_ARROW_DATA_FILE] = f"{scratch}/rows"
        os.environ[distributor.SPARK_DATAFRAME_SCHEMA_FILE] = f"{scratch}/schema"
        loader = distributor._get_spark_partition_data_loader(THEIRS, BATCH, num_workers=workers)
        return _rate(batch[-1] for batch in loader)


def _rate(labels: Any) -> float:
    """Rows a second after the first batch, which waits for the loader process to start."""
    next(labels)
    began, rows = time.perf_counter(), 0
    for some in labels:
        rows += len(some)
    return rows / (time.perf_counter() - began)
