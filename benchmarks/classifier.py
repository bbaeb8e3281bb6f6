"""What every contender shares: timm's own preprocessing of one image, and one call of the model for a batch."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import torch
    from PIL import Image


@dataclass(frozen=True)
class Classifier:
    """A timm model and its eval transform, on the CPU."""

    model: torch.nn.Module
    transform: Callable[[Image.Image], torch.Tensor]
    bfloat16: bool
    channels_last: bool

    @classmethod
    def load(cls, folder: Path, *, threads: int, bfloat16: bool = False, channels_last: bool = False) -> Self:
        """The model in `folder` (timm's `local-dir:` layout); torch computes on `threads` threads from now on."""
        import timm
        import torch

        torch.set_num_threads(threads)
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        if channels_last:
            model = model.to(memory_format=torch.channels_last)
        return cls(model, load_transform(folder), bfloat16, channels_last)

    def decode(self, content: bytes) -> torch.Tensor:
        """An encoded image as the model's input, float32, 3 × height × width."""
        return decode(content, self.transform)

    def predict(self, images: Sequence[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Class numbers, and probabilities as float32, images × classes."""
        logits = self._run(self.model, images)
        probabilities = logits.softmax(dim=1)
        return probabilities.argmax(dim=1).numpy(), probabilities.numpy()

    def features(self, images: Sequence[torch.Tensor]) -> np.ndarray:
        """Pooled features before the classifier, float32, images × features."""
        model = self.model
        features = self._run(lambda batch: model.forward_head(model.forward_features(batch), pre_logits=True), images)
        return features.numpy()

    def _run(self, function: Callable[[torch.Tensor], torch.Tensor], images: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        batch = torch.stack(tuple(images))
        if self.channels_last:
            batch = batch.contiguous(memory_format=torch.channels_last)
        autocast = torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()
        with torch.inference_mode(), autocast:
            return function(batch).float()


def load_transform(folder: Path) -> Callable[[Image.Image], torch.Tensor]:
    """timm's eval transform for the model in `folder`; its weights are not read."""
    import timm
    from timm.data import create_transform, resolve_model_data_config

    model = timm.create_model(f"local-dir:{folder}", pretrained=False)
    return create_transform(**resolve_model_data_config(model), is_training=False)


def decode(content: bytes, transform: Callable[[Image.Image], torch.Tensor]) -> torch.Tensor:
    """An encoded image through PIL and timm's transform."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return transform(image.convert("RGB"))
