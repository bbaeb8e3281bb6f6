"""Foreign checkpoints of timm's architectures, as folders that `ImageClassifierModel.pretrained` loads."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from brightspark.core.convert import to_safetensors
from brightspark.core.errors import ArtifactError, InputError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor


def convert(checkpoint: Path, model: str, out: Path, *, labels: Sequence[str] | None = None) -> Path:
    """Makes a folder in timm's `local-dir:` layout (config.json, model.safetensors) from a pickled checkpoint.

    `model` is timm's name of the architecture. Tensors are found by name; where the names are another library's, by
    their order, if number, shapes and types are the architecture's all along. `labels` are the names of the classes.

    Raises ArtifactError where the weights do not fit, InputError where timm has no such architecture, `out` exists or
    the number of labels is wrong.
    """
    import timm
    from safetensors.torch import load_file

    if not timm.is_model(model):
        raise InputError(f"timm has no architecture {model!r}; {did_you_mean(model, timm.list_models())}")
    if out.exists():
        raise InputError(f"{out} exists already; name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        weights = Path(beside) / "weights.safetensors"
        names = to_safetensors(checkpoint, weights)
        source = load_file(weights)
        classes = {"num_classes": len(labels)} if labels else {}
        network = timm.create_model(model, **classes)
        if set(source) != set(network.state_dict()):
            source = _renamed(source, names, network.state_dict(), model)
        try:
            network.load_state_dict(source)
        except RuntimeError as error:
            raise ArtifactError(f"the weights in {checkpoint} do not fit {model}: {error}") from error
        made = Path(beside) / "model"
        config = {"label_names": list(labels)} if labels else {}
        timm.models.save_for_hf(network, str(made), model_config=config, safe_serialization=True)
        shutil.move(made, out)
    return out


def _renamed(
    source: Mapping[str, Tensor], names: Sequence[str], wanted: Mapping[str, Tensor], model: str
) -> dict[str, Tensor]:
    """The tensors under the architecture's names, matched by their order."""
    if len(names) != len(wanted):
        raise ArtifactError(f"the checkpoint has {len(names)} tensors, {model} has {len(wanted)}, and the names differ")
    renamed = {}
    for old, (name, tensor) in zip(names, wanted.items(), strict=True):
        if _form(source[old]) != _form(tensor):
            raise ArtifactError(f"{old} is {_form(source[old])}, but {model}'s {name} is {_form(tensor)}")
        renamed[name] = source[old]
    return renamed


def _form(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"
