"""Where fine-tuning starts: a timm network with an output for each label, as a folder. Knows timm, no Spark."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models import save_for_hf
from timm.models._input import get_model_input_config

from brightspark.core import cache
from brightspark.core.artifact import Artifact
from brightspark.core.batches import seed_everything
from brightspark.core.errors import ArtifactError, InputError
from brightspark.vision.fit_settings import ImageFitSettings
from brightspark.vision.labels import read_labels
from brightspark.vision.preprocessing import MODES
from brightspark.vision.pretrained import describe_weights, find_weights


@dataclass(frozen=True)
class Start:
    """What staging must know of the network."""

    mode: str
    """RGB, or L for grey."""

    scale_size: int
    """Pixels to which the shorter side of a picture is scaled before it is cropped."""


def write_start(folder: Path, settings: ImageFitSettings, labels: Sequence[str]) -> None:
    """Writes the network that training starts with to `folder`, in timm's layout, unless it is there already.

    Its classifier is new, unless the network knows these very labels.
    Raises InputError for a name that nobody knows, ArtifactError for weights that cannot be used.
    """
    if folder.exists():
        return
    seed_everything(settings.seed)
    network = _network(settings, labels)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    named = {"label_names": list(labels)}
    try:
        save_for_hf(network, str(made), named, safe_serialization=True, data_config=_data(network, settings))
    except ValueError as error:
        shutil.rmtree(made)
        raise InputError(f"{settings.network} cannot be started with these settings: {error}") from error
    made.chmod(0o755)
    made.rename(folder)


def read_start(folder: Path) -> Start:
    """How the network of a folder takes pictures; raises ArtifactError where it takes no pictures."""
    with torch.device("meta"):
        config = resolve_model_data_config(timm.create_model(f"local-dir:{folder}"))
    channels, *size = config["input_size"]
    if channels not in MODES:
        raise ArtifactError(f"the network takes {channels} channels; images have 3 (RGB), or 1 (grey)")
    return Start(mode=MODES[channels], scale_size=math.ceil(max(size) / config["crop_pct"]))


def origin(settings: ImageFitSettings) -> str:
    """The digest of the files that training starts with; empty for an architecture with random weights.

    Raises InputError for a name that nobody knows.
    """
    if not settings.network:
        raise InputError("name the network to start with: ImageClassifier('resnet18.a1_in1k').fit(…)")
    return "" if _is_architecture(settings) else _weights(settings.network).digest


def rates(model_args: Mapping[str, Any]) -> dict[str, Any]:
    """Of timm's arguments those that matter in training only, and that its layout on disk leaves out."""
    return {name: value for name, value in model_args.items() if name.endswith("_rate")}


def _is_architecture(settings: ImageFitSettings) -> bool:
    return not settings.pretrained and timm.is_model(settings.network.partition(".")[0])


def _network(settings: ImageFitSettings, labels: Sequence[str]) -> Any:
    if _is_architecture(settings):
        network = timm.create_model(settings.network, num_classes=len(labels), **settings.model_args)
    else:
        artifact = _weights(settings.network)
        folder = cache.keep(artifact.address, artifact.digest, artifact.files)
        network = timm.create_model(f"local-dir:{folder}", pretrained=settings.pretrained, **settings.model_args)
        if not settings.pretrained or network.num_classes != len(labels) or read_labels(folder) != tuple(labels):
            network.reset_classifier(len(labels))
    if settings.image_size is not None and hasattr(network, "set_input_size"):  # networks with positions of tokens
        network.set_input_size(img_size=(settings.image_size, settings.image_size))
    return network


def _weights(name: str) -> Artifact:
    try:
        found = find_weights(name)
    except InputError as error:
        if timm.is_model(name):
            raise InputError(f"{error}; pretrained=False starts {name} with random weights") from error
        raise
    return found if isinstance(found, Artifact) else describe_weights(found, kind="image-classifier")


def _data(network: Any, settings: ImageFitSettings) -> dict[str, Any] | None:
    """What is to be different from the network's own preprocessing."""
    if settings.image_size is None:
        return None
    channels = get_model_input_config(network)["input_size"][0]
    return {"input_size": (channels, settings.image_size, settings.image_size)}


def write_trained(start: Path, weights: Path, folder: Path) -> None:
    """Puts the trained weights into `folder`, beside the configuration of the network that training started with."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(start / "config.json", folder / "config.json")
    shutil.copyfile(weights, folder / "model.safetensors")
