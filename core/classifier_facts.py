"""What the builder of every classifier's training must know. Knows neither torch nor Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ClassifierFacts:
    """What the task of a classifier's training is made of; as JSON, a part of the run's facts."""

    network: str
    """The folder of the network that training starts with; it has an output for each label."""
    labels: Sequence[str]
    multi_label: bool
    trained_blocks: int | None
    label_smoothing: float
    class_weights: Sequence[float] | None
    balanced_sampling: bool
