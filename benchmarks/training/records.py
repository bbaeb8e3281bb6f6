"""Shuffled records of 50 KB through two loader processes, against streaming libraries and plain pyarrow."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apart
import images
import torch

from training import data, table

ROWS, BATCH, WORKERS = 20_000, 64, 2
EPOCHS = 5  # the first is not counted: in it the loader processes start
OURS = "brightspark"
STREAMING = os.environ.get("MOSAICML_STREAMING")  # a folder with the package; it wants other versions than ours


def measure(rounds: int) -> dict[str, Any]:
    folder = str(data.records(ROWS))
    print(f"  the node's copy: {apart.call('training.records:copy', folder=folder):.1f} s, once a node")
    peers = {"datasets, streaming": "streamed", "datasets, map-style": "mapped", "pyarrow, in order": "plain"}
    if STREAMING:
        apart.call("training.records:write_mds", environment=_streaming(), folder=folder)
        peers["MosaicML Streaming"] = "mosaic"
    else:
        print("  MosaicML Streaming is left out: MOSAICML_STREAMING names no folder that holds it")
    contenders = {OURS: lambda: apart.call("training.records:ours", folder=folder)}
    for name, function in peers.items():
        contenders[name] = lambda function=function: apart.call(  # type: ignore[misc]
            f"training.records:{function}",
            environment=_streaming() if function == "mosaic" else None,
            folder=folder,
        )
    rates = table.rounds(contenders, rounds, "records/s")
    goals = {(OURS, name): 1.0 for name in ("datasets, streaming", "MosaicML Streaming") if name in peers}
    goals[OURS, "pyarrow, in order"] = 0.8
    return table.judged(rates, "records/s", goals)


def _streaming() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, [STREAMING, os.environ.get("PYTHONPATH", "")]))}


def _rate(batches: Iterable[torch.Tensor]) -> float:
    """Records a second of all epochs but the first."""
    began, seen = 0.0, 0
    for some in batches:
        assert some.min() == some.max() == data.RECORD_BYTES
        seen += len(some)
        if not began and seen >= ROWS:
            began, seen = time.perf_counter(), 0
    return seen / (time.perf_counter() - began)


def _loaded(rows: Any, **settings: Any) -> Iterator[torch.Tensor]:
    """All epochs of a dataset of torch's or for it."""
    from torch.utils.data import DataLoader

    loader = DataLoader(
        rows, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True, collate_fn=collate, **settings
    )
    for _ in range(EPOCHS):
        yield from loader


def length(record: dict[str, Any], training: bool = True) -> int:
    """The record is made, and does not leave its process: what a decoder would do with it is not measured here."""
    return len(record["content"])


def copy(folder: str) -> float:
    from brightspark.core.cache import cache_root
    from brightspark.core.shards import Shards

    shards = Shards.open(folder)
    shutil.rmtree(cache_root() / "shards" / shards.manifest.digest, ignore_errors=True)
    began = time.perf_counter()
    shards.rows()
    return time.perf_counter() - began


def ours(folder: str) -> float:
    from brightspark.core.loader import training_batches
    from brightspark.core.order import Order, Position
    from brightspark.core.shards import Shards
    from brightspark.core.task import Task

    rows = Shards.open(folder).rows(["content"])
    task = Task(
        module=torch.nn.Identity(), columns=("content",), example=length, collate=torch.tensor, loss=lambda *_: None
    )  # type: ignore[arg-type, return-value]
    loaded = training_batches(
        rows, task, order=Order(rows=len(rows)), position=Position(), epochs=EPOCHS, batch_size=BATCH, workers=WORKERS
    )
    return _rate(one.taken.batch for one in loaded)


def collate(records: list[dict[str, Any]]) -> torch.Tensor:
    return torch.tensor([length(record) for record in records])


def mapped(folder: str) -> float:
    """Hugging Face's memory-mapped tables, as `load_dataset` makes them; a permutation by torch's own sampler."""
    from datasets import load_dataset

    rows = load_dataset("parquet", data_files=_files(folder), split="train", cache_dir=str(images.cache() / "datasets"))
    return _rate(_loaded(rows.select_columns(["content"]), shuffle=True))


def streamed(folder: str) -> float:
    from datasets import load_dataset

    rows = load_dataset("parquet", data_files=_files(folder), split="train", streaming=True)
    rows = rows.select_columns(["content"]).shuffle(seed=0, buffer_size=1000)
    return _rate(_loaded(rows))


def _mds(folder: str) -> Path:
    return images.cache() / "mds" / Path(folder).name


def write_mds(folder: str) -> None:
    """The same records in MosaicML's own format, in its shards of 64 MiB, uncompressed."""
    import pyarrow.parquet as pq
    from streaming import MDSWriter

    out = _mds(folder)
    if (out / "index.json").exists():
        return
    shutil.rmtree(out, ignore_errors=True)
    with MDSWriter(out=str(out), columns={"content": "bytes"}) as writer:
        for file in _files(folder):
            for batch in pq.ParquetFile(file).iter_batches(64, columns=["content"]):
                for record in batch.to_pylist():
                    writer.write(record)


def mosaic(folder: str) -> float:
    from streaming import StreamingDataset

    rows = StreamingDataset(local=str(_mds(folder)), shuffle=True, batch_size=BATCH)
    return _rate(_loaded(rows))


def plain(folder: str) -> float:
    """Two processes read the same Parquet files from first to last, no loader around them: what disks could give."""
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pool.map(len, [""] * WORKERS)
        began = time.perf_counter()
        rows = sum(pool.map(_read, _files(folder), chunksize=1))
        return rows / (time.perf_counter() - began)


def _read(file: str) -> int:
    import pyarrow.parquet as pq

    lengths = [
        length(record)
        for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=["content"])
        for record in batch.to_pylist()
    ]
    return len(lengths)


def _files(folder: str) -> list[str]:
    return [str(file) for file in sorted(Path(folder).glob("data-*/*.parquet"))]
