"""The weights that a training keeps: those of its best epochs on the way, and one file in the end. Knows no Spark.

Each epoch that was the best so far has a file of its own, since a training may be set back to a snapshot that knows an
earlier one.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import torch
from safetensors.torch import save_file

from brightspark.core.snapshot import apart

_PATTERN = "best-*.safetensors"


def keep(file: Path, module: torch.nn.Module) -> None:
    """Writes a module's weights, all at once."""
    beside = file.with_name(f".{file.name}-{uuid.uuid4().hex[:8]}")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(apart(tensors), beside)
    beside.replace(file)


def keep_best(folder: Path, epoch: int, module: torch.nn.Module) -> None:
    """Keeps the weights of an epoch that is the best so far."""
    keep(_best(folder, epoch), module)


def take_best(folder: Path, epoch: int, target: Path) -> None:
    """Puts the weights of that epoch to `target`, all at once."""
    beside = target.with_name(f".{target.name}.new")
    shutil.copyfile(_best(folder, epoch), beside)
    beside.replace(target)


def forget(folder: Path, epoch: int, *, keep: int) -> None:
    """Deletes the weights of later epochs, and all but the last `keep` of the others: those that snapshots know."""
    files = sorted(folder.glob(_PATTERN))
    known = [file for file in files if file <= _best(folder, epoch)]
    for file in set(files) - set(known[len(known) - min(keep, len(known)) :]):
        file.unlink(missing_ok=True)


def _best(folder: Path, epoch: int) -> Path:
    return folder / f"best-{epoch:06d}.safetensors"
