"""Small real timm models with seeded weights, and what plain timm answers with them: the reference of these tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from tests.vision.pictures import picture

LABELS = ("anchor", "beaver", "crane", "dahlia", "euphonium", "ferry", "gerenuk")
SIDE = 64  # pixels that the models eat, unless a test says otherwise
SPREAD = 2.0  # standard deviation of the logits: large enough for different answers, small enough for unsure ones


def save_network(
    folder: Path,
    architecture: str = "test_efficientnet",
    *,
    seed: int = 0,
    labels: Sequence[str] = LABELS,
    config: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Path:
    """A model in timm's own layout; `config` is what its pretrained_cfg says otherwise. Same seed, same bytes."""
    torch.manual_seed(seed)
    network = timm.create_model(architecture, num_classes=len(labels), **arguments).eval()
    _spread_answers(network, arguments.get("in_chans", 3))
    timm.models.save_for_hf(network, str(folder), model_config={"label_names": list(labels)}, safe_serialization=True)
    return configure(folder, config if config is not None else {"input_size": [3, SIDE, SIDE]})


def _spread_answers(network: torch.nn.Module, channels: int) -> None:
    """Settles the norms and the classifier on a few pictures: untrained, a network answers the same to all of them."""
    side = network.pretrained_cfg["input_size"][1]
    shown = [picture(seed, (side, side), {1: "L", 3: "RGB", 4: "RGBA"}[channels]) for seed in range(64)]
    pixels = torch.from_numpy(np.stack([np.atleast_3d(image) for image in shown])).permute(0, 3, 1, 2)
    batch = (pixels / 255 - 0.45) / 0.225
    classifier = network.get_classifier()
    with torch.no_grad():
        network.train()(batch)
        # Rounded, here and below, so that the weights are the same whatever the order of summation was.
        for buffer in network.buffers():
            buffer.copy_(buffer.round(decimals=2) if buffer.is_floating_point() else buffer)
        logits = network.eval()(batch)
        scale = (SPREAD / logits.std(dim=0)).round(decimals=2)
        classifier.weight.mul_(scale[:, None])
        classifier.bias.copy_((-logits.mean(dim=0) * scale).round(decimals=2))


def configure(folder: Path, pretrained_cfg: Mapping[str, Any], **top: Any) -> Path:
    """Writes other facts into a model's config.json."""
    file = folder / "config.json"
    held = json.loads(file.read_text())
    held["pretrained_cfg"].update(pretrained_cfg)
    file.write_text(json.dumps({**held, **top}))
    return folder


def plain_timm(folder: Path, pictures: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
    """The probabilities of each picture, one by one, as timm's own documentation computes them."""
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = resolve_model_data_config(network)
    transform = create_transform(**config, is_training=False)
    mode = "L" if config["input_size"][0] == 1 else "RGB"
    with torch.inference_mode():
        rows = [network(transform(picture.convert(mode)).unsqueeze(0)).softmax(dim=1)[0] for picture in pictures]
    return torch.stack(rows).numpy()


def open_picture(path: str | Path) -> Image.Image:
    """An image file as plain Pillow opens it."""
    with Image.open(path) as image:
        image.load()
        return image
