"""Foreign checkpoints of timm's architectures, as folders that `ImageClassifierModel.pretrained` loads."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.convert import to_safetensors
from brightspark.core.errors import ArtifactError, InputError, did_you_mean
from brightspark.vision.labels import read_labels

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)


def convert(checkpoint: Path, model: str, out: Path, *, labels: Sequence[str] | None = None) -> Path:
    """Makes a folder in timm's `local-dir:` layout (config.json, model.safetensors) from a pickled checkpoint.

    `model` is timm's name of the architecture, best with the tag of weights that were trained alike
    (`resnet50.tv_in1k` for torchvision's): the tag says how images are prepared. Without one timm's first is taken,
    which the log tells. Tensors are found by name; where the names are another library's, by
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
        _say_preprocessing(model, network)
        if not labels and network.num_classes:
            found = read_labels(made)
            _log.warning("no labels are given: the %d classes are called %s…", len(found), "; ".join(found[:3]))
        shutil.move(made, out)
    return out


def _say_preprocessing(model: str, network: Any) -> None:
    """Tells how images will be prepared where the name leaves it open."""
    import timm

    known = timm.list_pretrained(f"{model}.*")
    if len(known) > 1:  # never of a name with a tag
        held = network.pretrained_cfg
        chosen = ", ".join(
            f"{name} {held[name]}" for name in ("input_size", "crop_pct", "interpolation", "mean", "std")
        )
        _log.warning(
            "images will be prepared as for %s.%s: %s. If the weights were trained otherwise, name theirs: %s",
            model, held["tag"], chosen, ", ".join(known),
        )  # fmt: skip


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
