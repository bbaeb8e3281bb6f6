"""A training's journal as TensorBoard draws it: an option, for who watches many trainings there already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brightspark.core.errors import SetupError

NOT_DRAWN = frozenset({"kind", "time", "step", "steps", "epoch", "seconds_left", "ranks", "rows"})


class Curves:
    """Event files in a folder of the run's: `tensorboard --logdir RUN` shows `step/loss`, `epoch/accuracy`…

    Raises SetupError where TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SetupError("tensorboard=True needs TensorBoard on every rank: pip install tensorboard") from error
        self._open, self._folder = SummaryWriter, folder
        self._writer: SummaryWriter | None = None

    def write(self, line: Mapping[str, Any]) -> None:
        """Draws the numbers of a line of the journal."""
        if self._writer is None:  # steps that are taken again after a death replace those drawn before
            self._writer = self._open(str(self._folder), purge_step=line["step"] + 1)
        for name, value in line.items():
            if isinstance(value, int | float) and name not in NOT_DRAWN:
                self._writer.add_scalar(f"{line['kind']}/{name}", value, line["step"])
        self._writer.flush()
