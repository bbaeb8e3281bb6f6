"""How a training runs: what every estimator can be told, each solution's settings add their own. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from brightspark.core.errors import SettingError, did_you_mean
from brightspark.core.precision import check_precision

OPTIMIZERS = ("adamw", "sgd")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What every estimator can be told about how it trains."""

    epochs: Annotated[int, "how often each row is seen"] = 10
    batch_size: Annotated[int, "examples in a step, over all ranks and all parts of an accumulated batch"] = 64
    accumulate: Annotated[int, "parts in which a rank takes its share of a batch, where memory is short"] = 1
    ranks: Annotated[int, "processes that train together, each on a slot of its own; 1 trains in this process"] = 1
    use_gpu: Annotated[bool, "whether each rank has a GPU"] = False
    optimizer: Annotated[str, "adamw or sgd (with Nesterov momentum)"] = "adamw"
    learning_rate: Annotated[float | None, "the highest rate, reached after the warm-up"] = 1e-3
    weight_decay: Annotated[float, "of weights; biases and norms have none"] = 0.05
    momentum: Annotated[float, "of sgd"] = 0.9
    layer_decay: Annotated[float, "each layer's rate is that of the layer above it times this"] = 1.0
    warmup: Annotated[float, "share of all steps in which the rate rises from 0; then it falls as a cosine"] = 0.05
    clip_norm: Annotated[float | None, "gradients are scaled down to this norm"] = 1.0
    ema_decay: Annotated[float | None, "validate and keep an exponential moving average of the weights"] = None
    precision: Annotated[
        str, "float32, bfloat16, float16, or auto: bfloat16 where the processor is fast at it, else float32"
    ] = "auto"
    seed: Annotated[int, "of order, augmentation, dropout and new layers"] = 0
    monitor: Annotated[str, "validation metric that picks the best epoch: `loss`, or one of which more is better"] = (
        "loss"
    )
    patience: Annotated[int | None, "stop after so many epochs without a better one"] = None
    loader_workers: Annotated[int, "processes a rank that read, decode and augment ahead of the model"] = 2
    window_rows: Annotated[
        int | None,
        "for data that no node's disk holds: rows that are kept, and permuted among each other, at a time; otherwise "
        "each node keeps a copy of all rows",
    ] = None
    max_error_rate: Annotated[float, "training stops when a larger share of the records cannot be read"] = 0.01
    snapshot_steps: Annotated[int | None, "steps between two snapshots"] = None
    snapshot_minutes: Annotated[float | None, "minutes between two snapshots"] = 10.0
    keep_snapshots: Annotated[int, "snapshots that are kept"] = 2
    tensorboard: Annotated[bool, "also write TensorBoard's event files, into the run's folder"] = False
    max_restarts: Annotated[int, "how often training is launched again after a rank died"] = 3

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.optimizer not in OPTIMIZERS:
            raise SettingError(f"optimizer={self.optimizer!r} is unknown; {did_you_mean(self.optimizer, OPTIMIZERS)}")
        for name in ("epochs", "batch_size", "accumulate", "ranks", "keep_snapshots"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("weight_decay", "momentum", "loader_workers", "max_restarts", "seed"):
            if not getattr(self, name) >= 0:
                raise SettingError(f"{name}={getattr(self, name)} must not be negative")
        if not self.layer_decay > 0:
            raise SettingError(f"layer_decay={self.layer_decay} must be above 0")
        for name in ("learning_rate", "clip_norm", "window_rows", "snapshot_steps", "snapshot_minutes", "patience"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise SettingError(f"{name}={getattr(self, name)} must be above 0, or None")
        for name in ("warmup", "max_error_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name}={getattr(self, name)} is a share: from 0 to 1")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise SettingError(f"ema_decay={self.ema_decay} must be between 0 and 1, or None")

    @property
    def rate(self) -> float:
        """The learning rate; raises SettingError where it was left to an estimator that chooses none."""
        if self.learning_rate is None:
            raise SettingError("learning_rate=None leaves the rate open, and nothing here chooses one: set it")
        return self.learning_rate

    def share(self, ranks: int) -> int:
        """Examples that each of so many ranks takes at a time; rounded up where the batch cannot be cut evenly."""
        return -(-self.batch_size // (ranks * self.accumulate))
