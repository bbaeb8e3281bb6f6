"""A timm network with the weights of its folder, ready for inference. Knows torch, no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.data import resolve_model_data_config

from brightspark.core.errors import ArtifactError

WEIGHTS = "model.safetensors"


def load_network(folder: Path) -> torch.nn.Module:
    """timm's network with the folder's weights, which stay mapped from the file and are shared between workers.

    Raises ArtifactError where the weights do not fit the architecture.
    """
    name = f"local-dir:{folder}"
    weights = load_file(folder / WEIGHTS)
    # First without memory of its own, so that the mapped tensors take the place of its parameters. An architecture
    # with buffers that it computes and does not store needs real memory for a moment.
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                network = timm.create_model(name)
            network.load_state_dict(weights, assign=True)
        except (RuntimeError, NotImplementedError):
            continue
        if not any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers())):
            return _frozen(network)
    try:  # timm translates the names of some foreign checkpoints
        return _frozen(timm.create_model(name, pretrained=True))
    except RuntimeError as error:
        raise ArtifactError(f"the weights in {folder} do not fit its config.json: {error}") from error


def _frozen(network: torch.nn.Module) -> torch.nn.Module:
    """The network for inference: in float32 as in timm, also where its weights are stored in half precision."""
    return network.float().requires_grad_(False).eval()


def pooled_features(network: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """timm's pooled features of a batch, before the classifier: images × features.

    timm documentation, "Feature Extraction": penultimate layer features
    """
    timms: Any = network  # torch's Module does not know timm's methods
    features: torch.Tensor = timms.forward_head(timms.forward_features(batch), pre_logits=True)
    return features


def check_pooled(network: torch.nn.Module) -> None:
    """Raises ArtifactError for a network that does not give each image one row of features."""
    pixels = torch.zeros(1, *resolve_model_data_config(network)["input_size"])
    try:
        with torch.inference_mode():
            shape = tuple(pooled_features(network, pixels).shape)
    except (AttributeError, NotImplementedError, TypeError) as error:
        raise ArtifactError(f"this network has no features that timm can pool: {error}") from error
    if len(shape) != 2:
        raise ArtifactError(
            f"this network's features of an image are of shape {shape[1:]}, not pooled to one row: name a global_pool "
            "in its config.json, such as 'avg'"
        )
