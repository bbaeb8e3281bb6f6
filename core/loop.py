"""The training loop of all solutions: the same under Spark, under plain torchrun and in a single process.

    python -m brightspark.core.loop FOLDER                         # one process
    torchrun --nproc-per-node 2 -m brightspark.core.loop FOLDER    # two

A run is a folder that all ranks see. `run.json` in it says what is to be done; the loop adds `snapshots/`,
`metrics.jsonl`, `skipped-RANK.jsonl`, `errors/` and, in the end, `weights.safetensors` and `result.json`. The same
command goes on from the newest snapshot.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel

from brightspark.core import snapshot
from brightspark.core.errors import BudgetError, InputError
from brightspark.core.journal import Journal
from brightspark.core.loader import Loaded, seed_everything, training_batches, validation_batches
from brightspark.core.order import Order
from brightspark.core.precision import inference, resolve_precision
from brightspark.core.ranks import Ranks, joined
from brightspark.core.run import METRICS, WEIGHTS, Run
from brightspark.core.shards import Rows, Shards
from brightspark.core.state import State
from brightspark.core.task import Batch, Task, added, to_device
from brightspark.core.windows import Windows


def run(folder: str | Path) -> dict[str, Any]:
    """Trains what a folder's `run.json` names, from its newest snapshot on; returns what `result.json` holds.

    Raises what stopped it; each rank's traceback is then in `errors/`.
    """
    todo = Run.open(Path(folder))
    ended = todo.result()
    if ended is not None:
        return ended
    with joined(use_gpu=todo.settings.use_gpu) as ranks:
        try:
            return _train(todo, ranks)
        except BaseException as error:
            todo.keep_error(ranks.rank, error)
            raise


@dataclass(frozen=True, kw_only=True)
class _Training:
    """What the functions below share."""

    todo: Run
    ranks: Ranks
    task: Task
    network: torch.nn.Module
    """The task's module, wrapped where there are several ranks."""
    state: State
    journal: Journal
    last_batch: list[Batch]
    """The last batch that could be read, for a rank whose next one cannot."""


def _train(todo: Run, ranks: Ranks) -> dict[str, Any]:
    settings = todo.settings
    shards = Shards.open(todo.training)
    order = Order(rows=len(shards), seed=settings.seed)
    if settings.window_rows:
        groups = tuple(rows for shard in shards.manifest.shards for rows in shard.row_groups)
        order = replace(order, groups=groups, window_rows=settings.window_rows)
    steps = settings.epochs * -(-order.steps(settings.share(ranks.ranks) * ranks.ranks) // settings.accumulate)
    seed_everything(settings.seed)
    task = todo.task()
    state = State.fresh(task, settings, steps, ranks.device)
    found = snapshot.newest(todo.snapshots)
    if found is not None:
        state.restore(snapshot.load(found))
    journal = Journal(todo.folder / METRICS, steps=steps, writes=ranks.first)
    journal.note("started", ranks=ranks.ranks, step=state.step, epoch=state.position.epoch, rows=len(shards))
    network = _wrapped(state.module, ranks)
    training = _Training(
        todo=todo, ranks=ranks, task=task, network=network, state=state, journal=journal, last_batch=[]
    )
    _steps(training, order, Windows(shards, order, task.columns) if order.groups else shards.rows(task.columns))
    return _finish(training)


def _wrapped(module: torch.nn.Module, ranks: Ranks) -> torch.nn.Module:
    if ranks.ranks == 1:
        return module
    return DistributedDataParallel(module, device_ids=[ranks.device] if ranks.device.type == "cuda" else None)


def _steps(training: _Training, order: Order, rows: Rows | Windows) -> None:
    """All steps to the end, with what comes after an epoch and between them."""
    settings, state, ranks = training.todo.settings, training.state, training.ranks
    if state.stopped(settings.patience):
        return
    loaded = training_batches(
        rows,
        training.task,
        order=order,
        position=state.position,
        epochs=settings.epochs,
        batch_size=settings.share(ranks.ranks),
        rank=ranks.rank,
        ranks=ranks.ranks,
        workers=settings.loader_workers,
        pin_memory=ranks.device.type == "cuda",
    )
    saved = time.monotonic()
    for parts in _grouped(loaded, settings.accumulate):
        _step(training, parts)
        _check_budget(training, order.rows)
        epoch_ends = state.position.consumed == 0
        if epoch_ends:
            _end_epoch(training)
        minutes = (time.monotonic() - saved) / 60
        if (
            epoch_ends
            or (settings.snapshot_steps and state.step % settings.snapshot_steps == 0)
            or (settings.snapshot_minutes and minutes >= settings.snapshot_minutes)
        ):
            _save(training)
            saved = time.monotonic()
        if epoch_ends and state.stopped(settings.patience):
            return


def _grouped(loaded: Iterable[Loaded], accumulate: int) -> Iterator[list[Loaded]]:
    """The parts of each step; the last step of an epoch may have fewer."""
    parts: list[Loaded] = []
    for one in loaded:
        parts.append(one)
        if len(parts) == accumulate or one.after.consumed == 0:
            yield parts
            parts = []


def _step(training: _Training, parts: list[Loaded]) -> None:
    settings, state, ranks = training.todo.settings, training.state, training.ranks
    state.module.train()
    seed_everything(settings.seed, state.step, ranks.rank)
    total, weight = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        waits = isinstance(training.network, DistributedDataParallel) and not last
        with training.network.no_sync() if waits else nullcontext():  # type: ignore[operator]
            loss, divisor = _loss(training, part)
            state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += loss.detach().double().cpu()
        weight += torch.as_tensor(divisor).detach().double().cpu()
    skipped = [one for part in parts for one in part.skipped]
    seen = settings.share(ranks.ranks) * len(parts)
    total_all, weight_all, skipped_all, seen_all = ranks.sums([total, weight, len(skipped), seen])
    if skipped:
        training.todo.keep_skipped(ranks.rank, state.position.epoch, skipped)
    _update(training, weight_all)
    epoch = state.position.epoch
    state.step, state.position = state.step + 1, parts[-1].after
    state.seen, state.skipped = state.seen + int(seen_all), state.skipped + int(skipped_all)
    training.journal.step(
        epoch=epoch,
        step=state.step,
        loss=total_all / weight_all if weight_all else float("nan"),
        rate=state.optimizer.param_groups[-1]["lr"],
        samples=int(seen_all),
    )


def _loss(training: _Training, part: Loaded) -> tuple[torch.Tensor, float | torch.Tensor]:
    """The loss of a part, not divided yet. A rank that could read nothing still takes part, with weight 0."""
    batch, share = part.batch, 1.0
    if batch is None:
        if not training.last_batch:
            first = part.skipped[0]
            raise InputError(
                f"none of the first {len(part.skipped)} records can be read; row {first.row}: {first.reason}"
            )
        batch, share = training.last_batch[0], 0.0
    training.last_batch[:] = [batch]
    device = training.ranks.device
    precision = resolve_precision(training.todo.settings.precision, device.type)
    with torch.autocast(
        device.type,
        dtype=torch.bfloat16 if precision == "float32" else getattr(torch, precision),
        enabled=precision != "float32",
    ):
        loss = training.task.loss(training.network, to_device(batch, device))
    return loss.total * share, loss.weight * share


def _update(training: _Training, weight: float) -> None:
    """One step of the optimiser, on gradients divided by the weight of all ranks' examples."""
    settings, state = training.todo.settings, training.state
    gradients = [parameter.grad for parameter in state.module.parameters() if parameter.grad is not None]
    state.scaler.unscale_(state.optimizer)
    if weight:
        # Ranks' gradients come as their mean, and losses were not divided by anything yet.
        torch._foreach_mul_(gradients, training.ranks.ranks / weight)
    if settings.clip_norm:
        torch.nn.utils.clip_grad_norm_(state.module.parameters(), settings.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    state.schedule.step()
    if state.average is not None:
        state.average.update_parameters(state.module)


def _check_budget(training: _Training, rows: int) -> None:
    state, allowed = training.state, training.todo.settings.max_error_rate * rows
    if state.skipped > allowed:
        raise BudgetError(
            f"{state.skipped:,} of the first {state.seen:,} records cannot be read, more than the {allowed:,.0f} that "
            f"max_error_rate={training.todo.settings.max_error_rate} allows; the first ones stand in "
            f"{training.todo.folder}/skipped-*.jsonl"
        )


def _end_epoch(training: _Training) -> None:
    state, todo = training.state, training.todo
    epoch = state.position.epoch - 1
    metrics = _validate(training)
    training.journal.note("epoch", epoch=epoch, step=state.step, skipped=state.skipped, **metrics)
    state.seen = state.skipped = 0
    if metrics and state.judge(metrics, todo.settings.monitor, epoch) and training.ranks.first:
        _keep_weights(todo.folder / "best.safetensors", state.evaluated)


def _validate(training: _Training) -> dict[str, float]:
    """The metrics over the validation rows, each counted once; empty without such rows."""
    todo, ranks, task = training.todo, training.ranks, training.task
    if todo.validation is None:
        return {}
    network = training.state.evaluated.eval()
    batches = validation_batches(
        Shards.open(todo.validation).rows(task.columns),
        task,
        batch_size=todo.settings.share(ranks.ranks),
        rank=ranks.rank,
        ranks=ranks.ranks,
        workers=todo.settings.loader_workers,
    )
    found = []
    with inference(network, ranks.device.type, todo.settings.precision):
        for batch, skipped in batches:
            sums = {"__skipped": float(len(skipped)), "__loss": 0.0, "__weight": 0.0}
            if batch is not None:
                batch = to_device(batch, ranks.device)
                loss = task.loss(network, batch)
                sums |= {"__loss": float(loss.total), "__weight": float(loss.weight), **task.measure(network, batch)}
            found.append(sums)
    sums = _over_ranks(added(found), ranks)
    metrics = dict(task.metrics({name: value for name, value in sums.items() if not name.startswith("__")}))
    return {"loss": sums["__loss"] / sums["__weight"] if sums["__weight"] else float("nan"), **metrics}


def _over_ranks(sums: dict[str, float], ranks: Ranks) -> dict[str, float]:
    """Sums by name over all ranks; a rank without rows has no names yet."""
    if ranks.ranks == 1:
        return sums
    every: list[Any] = [None] * ranks.ranks
    torch.distributed.all_gather_object(every, sums)
    return added(every)


def _save(training: _Training) -> None:
    if not training.ranks.first:
        return
    began = time.monotonic()
    state, todo = training.state, training.todo
    snapshot.save(todo.snapshots, state.step, state.to_dict(), keep=todo.settings.keep_snapshots)
    training.journal.note("snapshot", step=state.step, seconds=time.monotonic() - began)


def _finish(training: _Training) -> dict[str, Any]:
    """Keeps the weights of the best epoch, or of the last one where nothing was validated."""
    todo, state, ranks = training.todo, training.state, training.ranks
    best = todo.folder / "best.safetensors"
    result = {
        "steps": state.step,
        "epochs": state.position.epoch,
        "best": state.best,
        "best_epoch": state.best_epoch if state.best is not None else None,
        "monitor": todo.settings.monitor,
    }
    if ranks.first:
        if state.best is None:
            _keep_weights(todo.folder / WEIGHTS, state.evaluated)
        else:
            (todo.folder / WEIGHTS).write_bytes(best.read_bytes())
        todo.keep_result(result)
    ranks.wait()
    return result


def _keep_weights(file: Path, module: torch.nn.Module) -> None:
    beside = file.with_name(f".{file.name}-{uuid.uuid4().hex[:8]}")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}, beside)
    beside.replace(file)


if __name__ == "__main__":
    print(run(sys.argv[1]))  # noqa: T201
