"""What runs in a Spark worker process: the model, loaded once, and the hop between Arrow and the engine."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from brightspark.core import cache
from brightspark.core.artifact import Artifact
from brightspark.core.errors import SetupError
from brightspark.core.memory import keep_freed_memory
from brightspark.core.predictor import Limits, Outcome, Predictor
from brightspark.core.score import Scorer
from brightspark.core.settings import ScoringSettings
from brightspark.core.stats import Stats

MODELS_HELD = 2  # loaded models that a worker process keeps: the one in use, and one of another stage


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What travels to the workers: where the model is, who loads it, and how it is to run. A few hundred bytes."""

    loader: str
    """`module:function`, called as `function(folder, device, settings)`; it returns a Predictor."""

    artifact: Artifact | None
    """None for a predictor that needs no model's files; then `folder` is nothing to read from."""

    settings: ScoringSettings
    columns: tuple[str, ...]
    """The columns that cross into Python."""

    answer_type: pa.StructType

    @property
    def key(self) -> str:
        """Names what a worker has to load: equal keys share one model."""
        return f"{self.loader} {self.artifact.digest if self.artifact else ''} {self.settings!r}"


def result_type(answer_type: pa.StructType) -> pa.StructType:
    """What the UDF returns for a record: its answer or its error, and on the first record of a batch the stats."""
    return pa.struct([("answer", answer_type), ("error", pa.string()), ("stats", pa.struct(_stats_fields()))])


def run(scoring: Scoring, batches: Iterator[pa.StructArray]) -> Iterator[pa.StructArray]:
    """Scores one task's records; the body of the UDF, and of nothing else."""
    scorer = loaded(scoring)
    for outcomes in scorer.score(map(_rows, batches)):
        yield _to_arrow(outcomes, scoring.answer_type, scorer.stats)


def _rows(batch: pa.StructArray) -> list[_Row]:
    columns = {field.name: batch.field(field.name) for field in batch.type}
    return [_Row(columns, index) for index in range(len(batch))]


class _Row(Mapping[str, Any]):
    """A record that leaves Arrow's memory column by column, when it is asked for."""

    __slots__ = ("_columns", "_index")

    def __init__(self, columns: Mapping[str, pa.Array], index: int) -> None:
        self._columns, self._index = columns, index

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._index].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def _to_arrow(outcomes: Sequence[Outcome], answer_type: pa.StructType, stats: Stats) -> pa.StructArray:
    counted = [stats.take()] + [None] * (len(outcomes) - 1) if outcomes else []
    return pa.StructArray.from_arrays(
        [
            pa.array([outcome.answer for outcome in outcomes], answer_type),
            pa.array([outcome.error for outcome in outcomes], pa.string()),
            pa.array(counted, pa.struct(_stats_fields())),
        ],
        names=["answer", "error", "stats"],
    )


def _stats_fields() -> list[tuple[str, pa.DataType]]:
    return [(number.name, pa.float64() if number.type == "float" else pa.int64()) for number in fields(Stats)]


_loaded: OrderedDict[str, Scorer] = OrderedDict()


def loaded(scoring: Scoring) -> Scorer:
    """The scorer of this process for a model: loaded at first use, then kept, however often a DataFrame is rebuilt."""
    scorer = _loaded.get(scoring.key)
    if scorer is None:
        started = time.perf_counter()
        folder = local_folder(scoring.artifact) if scoring.artifact else Path(os.devnull)
        scorer = make_scorer(folder, scoring.loader, scoring.settings)
        scorer.stats.load_seconds += time.perf_counter() - started
        _settle_memory()
        _loaded[scoring.key] = scorer
        while len(_loaded) > MODELS_HELD:
            _loaded.popitem(last=False)
    _loaded.move_to_end(scoring.key)
    return scorer


def _settle_memory() -> None:
    """Tells this worker process that what it holds now, it will go on holding."""
    # PySpark collects garbage after every task, and would walk all that torch has imported: 0.2 s each time.
    gc.collect()
    gc.freeze()
    keep_freed_memory()


def local_folder(artifact: Artifact) -> Path:
    """The artifact on this node: from its cache, from what Spark sent along, or from its address."""
    folder = cache.cached(artifact.digest)
    if folder is not None:
        return folder
    if cache.is_local(artifact.address):
        archive = _sent(cache.archive_name(artifact.digest))
        if archive is not None:
            return cache.unpack(archive, artifact.digest, artifact.files)
    return cache.keep(artifact.address, artifact.digest, artifact.files)


def _sent(name: str) -> Path | None:
    if _task() is None:
        return None
    from pyspark import SparkFiles

    archive = Path(SparkFiles.get(name))
    return archive if archive.is_file() else None


def make_scorer(folder: Path, loader: str, settings: ScoringSettings) -> Scorer:
    """Loads a model for scoring in this process, with the device and the threads of its task if there is one.

    The Spark UDF, the HTTP service and the apps start here. Outside a task torch keeps the threads that its process
    has chosen, unless `settings.threads` says otherwise.
    """
    task = _task()
    cpus = task.cpus() if task else 1
    device = _device(settings.device)
    threads = settings.threads or (task.cpus() if task else 0)
    if device == "cpu":
        if threads:
            import torch

            torch.set_num_threads(threads)
        split_threads = cpus
    else:
        split_threads = max(cpus, (os.cpu_count() or 1) // max(1, _gpu_count()))
    module, _, name = loader.partition(":")
    predictor: Predictor = getattr(importlib.import_module(module), name)(folder, device, settings)
    limits = Limits(device=device, precision=settings.precision, split_threads=settings.split_threads or split_threads)
    return Scorer(predictor, limits, open=settings.storage.open)


def _task() -> Any:
    """The Spark task that runs in this process; None outside of one, and where there is no Spark at all."""
    pyspark = sys.modules.get("pyspark")
    return None if pyspark is None else pyspark.TaskContext.get()


def _device(wanted: str) -> str:
    """The device that a setting means here: the task's own GPU, or one by the partition's number."""
    import torch

    if wanted == "auto":
        if not torch.cuda.is_available():
            return "cpu"
        task = _task()
        if task is None:
            return "cuda:0"
        assigned = task.resources().get("gpu")
        return f"cuda:{assigned.addresses[0] if assigned else task.partitionId() % _gpu_count()}"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise SetupError(f"device={wanted!r} is set, but this worker sees no GPU; set device='auto' or 'cpu'")
    return wanted


def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count()
