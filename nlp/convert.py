"""Turns pickled weights of transformers into a folder of safetensors, beside their own configuration and tokenizer."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brightspark.core.checkpoint import PATTERNS
from brightspark.core.convert import to_safetensors
from brightspark.core.errors import ArtifactError, InputError

WEIGHTS = "model.safetensors"


def convert(checkpoint: Path, model: str, out: Path, *, labels: Sequence[str] | None = None) -> Path:
    """Writes `checkpoint` (pytorch_model.bin) as a folder that transformers and every worker may load.

    `model` is the folder that holds its config.json and its tokenizer. `labels` take the place of the names in
    config.json. Raises InputError where something is at `out` or the labels are of another number, ArtifactError where
    the checkpoint holds more than tensors, or does not fit its config.json.
    """
    from brightspark.core.checkpoint_network import load_config, quiet

    folder = Path(model)
    if not (folder / "config.json").is_file():
        raise InputError(f"{model} has no config.json: name the folder that the checkpoint came in")
    if out.exists():
        raise InputError(f"{out} exists already; name another folder")
    config = load_config(folder)
    if labels is not None:
        if len(labels) != config.num_labels:
            raise InputError(f"there are {len(labels)} labels, and the network has {config.num_labels} outputs")
        config.id2label = dict(enumerate(labels))
        config.label2id = {name: number for number, name in enumerate(labels)}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        foreign, made = Path(beside) / "foreign", Path(beside) / "model"
        for name in (foreign, made):
            name.mkdir()
        for file in {file for pattern in PATTERNS for file in folder.glob(pattern)}:
            if file.is_file() and ".safetensors" not in file.name:
                shutil.copyfile(file, foreign / file.name)
                shutil.copyfile(file, made / file.name)
        to_safetensors(checkpoint, foreign / WEIGHTS)
        with quiet():
            _loaded(foreign, config, checkpoint).save_pretrained(made, max_shard_size="1TB")
        made.rename(out)
    return out


def _loaded(folder: Path, config: Any, checkpoint: Path) -> Any:
    """The network with the checkpoint's weights: as transformers names them now, tied ones once."""
    import transformers

    from brightspark.core.checkpoint_network import open_network

    name = (config.architectures or ["AutoModel"])[0]
    kind: Any = getattr(transformers, name, None)
    if kind is None:
        raise ArtifactError(f"transformers has no {name}, which config.json names")
    try:
        network, missing = open_network(kind, folder, f"a {name}", config)
    except ArtifactError as error:
        raise ArtifactError(f"the weights in {checkpoint} do not fit {name}: {error}") from error
    if missing:
        raise ArtifactError(f"{checkpoint} lacks {missing[0]}, which {name} has")
    return network
