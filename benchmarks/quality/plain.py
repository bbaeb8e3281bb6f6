"""Fine-tuning as a good script of plain timm and torch does it: the loop that ours is not to be worse than."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch.utils.data import DataLoader, Dataset

Row = tuple[str, Any]


class Pictures(Dataset):
    """Files and labels: numbers, or rows of zeros and ones."""

    def __init__(self, rows: Sequence[Row], labels: Sequence[str], transform: Any, mode: str) -> None:
        self.rows, self.transform, self.mode = rows, transform, mode
        self.index = {name: index for index, name in enumerate(labels)}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        path, label = self.rows[number]
        with Image.open(path) as image:
            pixels = self.transform(image.convert(self.mode))
        if isinstance(label, str):
            return pixels, torch.tensor(self.index[label])
        truth = torch.zeros(len(self.index))
        truth[[self.index[name] for name in label]] = 1
        return pixels, truth


def train_and_answer(
    network: torch.nn.Module,
    labels: Sequence[str],
    parts: dict[str, Sequence[Row]],
    *,
    augmentation: dict[str, Any],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    label_smoothing: float,
    warmup: float,
    bfloat16: bool,
    seed: int,
) -> np.ndarray:
    """Trains on `training`, keeps the epoch of the least loss on `validation`; the outputs for `test`."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    config = resolve_model_data_config(network)
    mode = "L" if config["input_size"][0] == 1 else "RGB"
    several = not isinstance(parts["training"][0][1], str)
    augmented = create_transform(**{**config, **augmentation}, is_training=True)
    plain = create_transform(**config, is_training=False)
    training = DataLoader(
        Pictures(parts["training"], labels, augmented, mode),
        batch_size=batch_size, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True,
    )  # fmt: skip
    validation, test = (
        DataLoader(Pictures(parts[part], labels, plain, mode), batch_size=batch_size, num_workers=2)
        for part in ("validation", "test")
    )
    network = network.to(memory_format=torch.channels_last)
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}], lr=learning_rate
    )
    steps = epochs * len(training)
    rise = round(warmup * steps)

    def rate(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    best, kept = math.inf, network.state_dict()
    for _ in range(epochs):
        network.train()
        for pixels, truth in training:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = network(pixels.to(memory_format=torch.channels_last))
            loss = _loss(logits.float(), truth, label_smoothing, several)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        logits, truth = _answers(network, validation, bfloat16)
        loss = float(_loss(logits, truth, 0.0, several))
        if loss < best:
            best, kept = loss, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    return _answers(network, test, bfloat16)[0].numpy()


def _loss(logits: torch.Tensor, truth: torch.Tensor, smoothing: float, several: bool) -> torch.Tensor:
    if several:
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, truth * (1 - smoothing) + smoothing / 2)
    return torch.nn.functional.cross_entropy(logits, truth, label_smoothing=smoothing)


@torch.inference_mode()
def _answers(network: torch.nn.Module, loader: Any, bfloat16: bool) -> tuple[torch.Tensor, torch.Tensor]:
    network.eval()
    outputs, truths = [], []
    for pixels, truth in loader:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            outputs.append(network(pixels.to(memory_format=torch.channels_last)).float())
        truths.append(truth)
    return torch.cat(outputs), torch.cat(truths)


def start(
    name: str,
    labels: Sequence[str],
    *,
    image_size: int,
    pretrained: bool,
    seed: int,
    reset: bool = False,
    **options: Any,
) -> Any:
    """The network that training starts with: a folder in timm's layout, or an architecture with random weights.

    `reset` draws the new classifier as timm's `reset_classifier` does, with weights ten times as small as those of its
    `create_model` for some networks.
    """
    torch.manual_seed(seed)
    network = timm.create_model(
        f"local-dir:{name}" if pretrained else name, pretrained=pretrained, num_classes=len(labels), **options
    )
    if reset:
        network.reset_classifier(len(labels))
    known = network.pretrained_cfg
    channels = options.get("in_chans", known["input_size"][0])
    known["input_size"] = (channels, image_size, image_size)
    if channels == 1:  # as timm saves the configuration of such a network
        known.update({name: (round(sum(known[name]) / 3, 3),) for name in ("mean", "std")})
    return network
