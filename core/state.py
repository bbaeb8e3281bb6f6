"""What a training has learned so far: everything that a snapshot must hold. Knows no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.optimize import make_optimizer, make_schedule
from brightspark.core.order import Position
from brightspark.core.precision import resolve_precision
from brightspark.core.task import Task
from brightspark.core.training_settings import TrainingSettings


@dataclass(kw_only=True)
class State:
    """The network, and what moves it. No random numbers: each step seeds its own from (seed, step, rank)."""

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    scaler: torch.amp.GradScaler
    average: AveragedModel | None
    position: Position = field(default_factory=Position)
    step: int = 0
    seen: int = 0
    """Records of this epoch so far, over all ranks."""
    skipped: int = 0
    """Those of them that could not be read."""
    best: float | None = None
    best_epoch: int = -1

    @classmethod
    def fresh(cls, task: Task, settings: TrainingSettings, steps: int, device: torch.device) -> State:
        """The state before the first of `steps` steps."""
        module = task.module.to(device)
        optimizer = make_optimizer(task, settings)
        average = None
        if settings.ema_decay is not None:
            averaging = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            average = AveragedModel(module, multi_avg_fn=averaging, use_buffers=True)
        halved = resolve_precision(settings.precision, device.type) == "float16"
        return cls(
            module=module,
            optimizer=optimizer,
            schedule=make_schedule(optimizer, settings, steps),
            scaler=torch.amp.GradScaler(device.type, enabled=halved),
            average=average,
        )

    @property
    def evaluated(self) -> torch.nn.Module:
        """The network that is validated and kept: the average, where there is one."""
        return self.module if self.average is None else self.average.module

    def to_learn(self) -> None:
        """Puts the network into training mode, but for frozen norms: they keep the statistics of what they learned on.

        A norm is what has a `running_mean`; it is frozen where it has parameters and none of them is trained.
        """
        self.module.train()
        for module in self.module.modules():
            own = list(module.parameters(recurse=False))
            if hasattr(module, "running_mean") and own and not any(one.requires_grad for one in own):
                module.eval()

    def to_dict(self) -> dict[str, Any]:
        """Everything as nested mappings, for a snapshot."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {name: value for name, value in self.schedule.state_dict().items() if name != "lr_lambdas"},
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "position": asdict(self.position),
            "step": self.step,
            "seen": self.seen,
            "skipped": self.skipped,
            "best": self.best,
            "best_epoch": self.best_epoch,
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Takes a snapshot's state; raises InputError where it is of another network."""
        try:
            self.module.load_state_dict(kept["module"])
            if self.average is not None:
                self.average.load_state_dict(kept["average"])
            self.optimizer.load_state_dict(kept["optimizer"])
        except (RuntimeError, ValueError, KeyError, AttributeError) as error:
            raise InputError(f"the snapshot is of another training ({error}): name another run folder") from error
        self._lay_out_moments()
        self.schedule.load_state_dict({**kept["schedule"], "lr_lambdas": [None] * len(self.schedule.lr_lambdas)})
        self.scaler.load_state_dict(kept["scaler"])
        self.position = Position(**kept["position"])
        for name in ("step", "seen", "skipped", "best", "best_epoch"):
            setattr(self, name, kept[name])

    def _lay_out_moments(self) -> None:
        """Gives the optimiser's moments their parameters' layout in memory, as they had it before."""
        for parameter, moments in self.optimizer.state.items():
            for name, moment in moments.items():
                if isinstance(moment, torch.Tensor) and moment.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter).copy_(moment)

    def judge(self, metrics: Mapping[str, float], monitor: str, epoch: int) -> bool:
        """Whether an epoch is the best so far. Raises InputError where `monitor` is not among the metrics."""
        if monitor not in metrics:
            raise InputError(f"monitor={monitor!r} is no metric of this task; {did_you_mean(monitor, metrics)}")
        value = metrics[monitor]
        better = value == value and (  # NaN is never the best
            self.best is None or (value < self.best if monitor == "loss" else value > self.best)
        )
        if better:
            self.best, self.best_epoch = value, epoch
        return better

    def stopped(self, patience: int | None) -> bool:
        """Whether no epoch was better for too long."""
        return patience is not None and self.best_epoch >= 0 and self.position.epoch - 1 - self.best_epoch >= patience
