"""Turns a pickled checkpoint into timm's folder layout; run as a script, in a process of its own.

    python -P convert.py CHECKPOINT ARCHITECTURE NAMES FOLDER

It imports nothing of brightspark, and reads weights only: no object of the checkpoint is ever built.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def convert(checkpoint: Path, architecture: str, names: Path, folder: Path) -> None:
    """Write `checkpoint`, whose tensors stand in the architecture's own order, as config.json and model.safetensors.

    Raises:
        ValueError: number or shape of the tensors is not the architecture's.
    """
    import timm
    import torch

    source = list(torch.load(checkpoint, map_location="cpu", weights_only=True).items())
    model = timm.create_model(architecture, pretrained=False)
    wanted = model.state_dict()
    if len(source) != len(wanted):
        raise ValueError(f"the checkpoint has {len(source)} tensors, {architecture} has {len(wanted)}")
    renamed = {}
    for (name, tensor), (old_name, value) in zip(wanted.items(), source, strict=True):
        if value.shape != tensor.shape or value.dtype != tensor.dtype:
            raise ValueError(f"{old_name} is {_form(value)}, but {architecture}'s {name} is {_form(tensor)}")
        renamed[name] = value
    model.load_state_dict(renamed, strict=True)
    label_names = json.loads(names.read_text(encoding="utf-8"))
    timm.models.save_for_hf(model, str(folder), model_config={"label_names": label_names}, safe_serialization=True)


def _form(tensor: object) -> str:
    return f"{tuple(getattr(tensor, 'shape', ()))} {getattr(tensor, 'dtype', '')}"


if __name__ == "__main__":
    convert(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
