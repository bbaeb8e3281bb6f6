"""The training loop of all solutions: the same under Spark, under plain torchrun and in a single process.

    python -m brightspark.core.loop FOLDER                         # one process
    torchrun --nproc-per-node 2 -m brightspark.core.loop FOLDER    # two

A run is a folder that all ranks see. `run.json` in it says what is to be done; the loop adds `snapshots/`,
`metrics.jsonl`, `skipped-RANK.jsonl`, `best-EPOCH.safetensors`, `errors/` and, in the end, `weights.safetensors` and
`result.json`. The same command goes on from the newest snapshot.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from brightspark.core import snapshot, weights
from brightspark.core.batches import seed_everything
from brightspark.core.errors import BudgetError, InputError, SettingError, SetupError
from brightspark.core.journal import Journal
from brightspark.core.loader import Loaded, training_batches
from brightspark.core.memory import keep_freed_memory
from brightspark.core.order import Order
from brightspark.core.precision import resolve_precision
from brightspark.core.ranks import Ranks, joined
from brightspark.core.run import METRICS, WEIGHTS, Run
from brightspark.core.shards import Rows, Shards
from brightspark.core.state import State
from brightspark.core.task import Task, to_device
from brightspark.core.training_settings import TrainingSettings
from brightspark.core.validation import validate
from brightspark.core.windows import Windows

SEEN_SECONDS = 60  # that a shared folder may take to show another node's file


def run(folder: str | Path) -> dict[str, Any]:
    """Trains what a folder's `run.json` names, from its newest snapshot on; returns what `result.json` holds.

    Raises what stopped it; each rank's traceback is then in `errors/`.
    """
    todo = Run.open(Path(folder))
    ended = todo.result()
    if ended is not None:
        return ended
    rank = int(os.environ.get("RANK", "0"))
    if "RANK" in os.environ:  # a process of its own, which does nothing else
        keep_freed_memory()
    try:
        with joined(use_gpu=todo.settings.use_gpu) as ranks:
            return _train(todo, ranks)
    except BaseException as error:
        todo.keep_error(rank, error)
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
    validation: Rows | None


def _train(todo: Run, ranks: Ranks) -> dict[str, Any]:
    settings = todo.settings
    if todo.validation is None and settings.patience is not None:
        raise SettingError(f"patience={settings.patience} needs validation rows to tell a better epoch by")
    shards = todo.staged(todo.training)
    seed_everything(settings.seed)
    task = todo.task()
    order = _order(shards, task, settings)
    steps = settings.epochs * -(-order.steps(settings.share(ranks.ranks) * ranks.ranks) // settings.accumulate)
    rows = Windows(shards, order, task.columns, str(todo.folder)) if order.groups else shards.rows(task.columns)
    validation = None if todo.validation is None else todo.staged(todo.validation).rows(task.columns)
    ranks.wait()  # until every node has its copy
    state = State.fresh(task, settings, steps, ranks.device)
    _go_on(state, todo, ranks)
    journal = _journal(todo, steps, ranks)
    journal.note("started", ranks=ranks.ranks, step=state.step, epoch=state.position.epoch, rows=len(shards))
    network = _wrapped(state.module, ranks)
    training = _Training(
        todo=todo, ranks=ranks, task=task, network=network, state=state, journal=journal, validation=validation
    )
    _steps(training, order, rows)
    if isinstance(rows, Windows):
        ranks.wait()
        rows.remove()
    return _finish(training)


def _order(shards: Shards, task: Task, settings: TrainingSettings) -> Order:
    order = Order(rows=len(shards), seed=settings.seed)
    if settings.window_rows:
        if task.weigh is not None:
            raise SettingError(f"window_rows={settings.window_rows} shows each row once; weights would not")
        groups = tuple(rows for shard in shards.manifest.shards for rows in shard.row_groups)
        return replace(order, groups=groups, window_rows=settings.window_rows)
    if task.weigh is not None:
        order = replace(order, weights=task.weigh(shards.table(task.weigh_columns)))
    if task.length is not None:
        lengths = shards.table([task.length]).column(task.length).to_numpy()
        order = replace(order, lengths=lengths, together=-(-settings.batch_size // settings.accumulate))
    return order


def _go_on(state: State, todo: Run, ranks: Ranks) -> None:
    """Takes over the newest snapshot: the one that rank 0 finds, since another node may see an older folder."""
    if ranks.first:
        snapshot.prepare(todo.snapshots)
    found = ranks.agreed(str(snapshot.newest(todo.snapshots) or "") if ranks.first else "")
    if not found:
        return
    deadline = time.monotonic() + SEEN_SECONDS
    while not Path(found).exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    state.restore(snapshot.load(Path(found)))


def _journal(todo: Run, steps: int, ranks: Ranks) -> Journal:
    curves = None
    if todo.settings.tensorboard and ranks.first:
        from brightspark.core.curves import Curves

        curves = Curves(todo.folder / "tensorboard")
    return Journal(todo.folder / METRICS, steps=steps, writes=ranks.first, curves=curves)


def _wrapped(module: torch.nn.Module, ranks: Ranks) -> torch.nn.Module:
    if ranks.ranks == 1:
        return module
    # DDP lays its buckets out anew after its first step, unless it looks for unused parameters. Where a gradient lies
    # decides in which order gloo adds up three ranks' and more: a resumed training would lose the last bit.
    exact = ranks.device.type == "cpu" and ranks.ranks > 2
    devices = [ranks.device] if ranks.device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices, find_unused_parameters=exact)


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
    state.to_learn()
    seed_everything(settings.seed, state.step, ranks.rank)
    total, weight = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        waits = isinstance(training.network, DistributedDataParallel) and not last
        with training.network.no_sync() if waits else nullcontext():  # type: ignore[operator]
            loss, divisor = _loss(training, part)
            # A sum would overflow in float16 where a mean does not.
            state.scaler.scale(loss / settings.share(ranks.ranks)).backward()  # type: ignore[no-untyped-call]
        total += loss.detach().double().cpu()
        weight += torch.as_tensor(divisor).detach().double().cpu()
    skipped = [one for part in parts for one in part.taken.skipped]
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
    taken = part.taken
    if taken.batch is None:
        first = "".join(f"; row {one.row}: {one.reason}" for one in taken.skipped[:1])
        raise InputError(f"no record of a batch can be read, nor any that could stand in for them{first}")
    share = 1.0 if taken.counts else 0.0
    device = training.ranks.device
    precision = resolve_precision(training.todo.settings.precision, device.type)
    with torch.autocast(
        device.type,
        dtype=torch.bfloat16 if precision == "float32" else getattr(torch, precision),
        enabled=precision != "float32",
    ):
        loss = training.task.loss(training.network, to_device(taken.batch, device))
    return loss.total * share, loss.weight * share


def _update(training: _Training, weight: float) -> None:
    """One step of the optimiser, on gradients divided by the weight of all ranks' examples."""
    settings, state, ranks = training.todo.settings, training.state, training.ranks
    gradients = [parameter.grad for parameter in state.module.parameters() if parameter.grad is not None]
    state.scaler.unscale_(state.optimizer)
    if weight:
        # Ranks' gradients come as their mean, and of losses that `_step` has divided by the share alone.
        torch._foreach_mul_(gradients, ranks.ranks * settings.share(ranks.ranks) / weight)
    if settings.clip_norm:
        torch.nn.utils.clip_grad_norm_(state.module.parameters(), settings.clip_norm)
    scale = state.scaler.get_scale()
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    if state.scaler.get_scale() < scale:  # float16 overflowed, and nothing was learned
        return
    state.schedule.step()
    if state.average is not None:
        state.average.update_parameters(state.module)


def _check_budget(training: _Training, rows: int) -> None:
    state, rate = training.state, training.todo.settings.max_error_rate
    allowed = rate * rows
    if state.skipped > allowed:
        raise BudgetError(
            f"{state.skipped:,} of the first {state.seen:,} records cannot be read, more than the {allowed:,.0f} that "
            f"max_error_rate={rate} allows; the first ones stand in {training.todo.folder}/skipped-*.jsonl"
        )


def _end_epoch(training: _Training) -> None:
    state, todo = training.state, training.todo
    epoch = state.position.epoch - 1
    metrics: dict[str, float] = {}
    if training.validation is not None:
        metrics = validate(state.evaluated, training.validation, training.task, todo.settings, training.ranks)
    training.journal.note("epoch", epoch=epoch, step=state.step, skipped=state.skipped, **metrics)
    state.seen = state.skipped = 0
    if metrics and state.judge(metrics, todo.settings.monitor, epoch) and training.ranks.first:
        weights.keep_best(todo.folder, epoch, state.evaluated)


def _save(training: _Training) -> None:
    if not training.ranks.first:
        return
    began = time.monotonic()
    state, todo = training.state, training.todo
    if not todo.is_current():
        raise SetupError(f"another launch of the training in {todo.folder} has begun; this one leaves it alone")
    keep = todo.settings.keep_snapshots
    snapshot.save(todo.snapshots, state.step, state.to_dict(), keep=keep)
    if state.best is not None:
        weights.forget(todo.folder, state.best_epoch, keep=keep)
    training.journal.note("snapshot", step=state.step, seconds=time.monotonic() - began)


def _finish(training: _Training) -> dict[str, Any]:
    """Keeps the weights of the best epoch, or of the last one where none was found better than another."""
    todo, state, ranks = training.todo, training.state, training.ranks
    result = {
        "steps": state.step,
        "epochs": state.position.epoch,
        "best": state.best,
        "best_epoch": state.best_epoch if state.best is not None else None,
        "monitor": todo.settings.monitor,
    }
    if ranks.first:
        if state.best is None:
            weights.keep(todo.folder / WEIGHTS, state.evaluated)
        else:
            weights.take_best(todo.folder, state.best_epoch, todo.folder / WEIGHTS)
        todo.keep_result(result)
        weights.forget(todo.folder, state.best_epoch, keep=0)
    ranks.wait()
    return result


if __name__ == "__main__":
    print(run(sys.argv[1]))  # noqa: T201
