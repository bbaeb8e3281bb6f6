"""A network's own preprocessing: timm's transform up to 8-bit pixels, then arithmetic on the device. Knows no Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from timm.data import create_transform, resolve_model_data_config
from torchvision.transforms import Compose  # type: ignore[import-untyped]

from brightspark.core.errors import ArtifactError, InputError
from brightspark.vision.images import Picture

MODES = {1: "L", 3: "RGB"}  # Pillow's names for so many channels


@dataclass(frozen=True)
class Preprocessing:
    """The model's own evaluation preprocessing: timm's transform up to 8-bit pixels, the arithmetic on the device."""

    resize: Any
    """timm's transform of a Pillow image to the size that the network takes."""

    scale_size: tuple[int, int]
    """Height and width to which the transform scales an image, before it crops."""

    crop_mode: str
    """timm's: `squash` scales to just that size, `border` to fit into it, `center` to fill it."""

    mode: str
    """Pillow's name for the network's channels: RGB, or L for one."""

    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def of(cls, network: torch.nn.Module, device: str) -> Preprocessing:
        """The preprocessing that the network's configuration names: size, crop, interpolation, mean and std.

        Raises ArtifactError for a network of neither one channel nor three.
        """
        config = resolve_model_data_config(network)
        channels, height, width = config["input_size"]
        if channels not in MODES:
            raise ArtifactError(f"the network takes {channels} channels; images have 3 (RGB), or 1 (grey)")
        return cls(
            # The last step would make a tensor, channels first: networks are faster with channels last.
            resize=Compose(create_transform(**config, is_training=False, normalize=False).transforms[:-1]),
            scale_size=(int(height / config["crop_pct"]), int(width / config["crop_pct"])),
            crop_mode=config["crop_mode"],
            mode=MODES[channels],
            mean=torch.tensor(config["mean"], device=device),
            std=torch.tensor(config["std"], device=device),
        )

    def decoded_bytes(self, picture: Picture, max_pixels: int) -> int:
        """What decoding and resizing a picture takes: it decoded, and it again scaled to the model's size.

        Raises InputError for one so narrow that scaling it to the model's size would take more than `max_pixels`.
        """
        width, height = picture.size
        scaled = self._scaled_pixels(width, height)
        if scaled > max_pixels:
            raise InputError(
                f"the image has {width}×{height} pixels: scaled to the model's size it would have {scaled:,}, more "
                f"than the {max_pixels:,} that are allowed"
            )
        return picture.pixel_bytes * width * height + 3 * scaled

    def _scaled_pixels(self, width: int, height: int) -> int:
        if self.crop_mode == "squash":
            return self.scale_size[0] * self.scale_size[1]
        ratios = (self.scale_size[0] / height, self.scale_size[1] / width)
        ratio = min(ratios) if self.crop_mode == "border" else max(ratios)
        return int(width * height * ratio**2)

    def fit(self, image: Image) -> np.ndarray[Any, Any]:
        """An image as the model's input size: uint8, height × width × channels."""
        return np.asarray(self.resize(image))

    def batch(self, pieces: Sequence[np.ndarray[Any, Any]]) -> torch.Tensor:
        """Images as the network eats them: float32, normalised, channels last in memory."""
        stacked = np.stack(pieces)
        count, height, width = stacked.shape[:3]
        pixels = torch.from_numpy(stacked).to(self.mean.device, non_blocking=True)
        # A whole row of pixels at a time is many times faster than three channels at a time. In timm's order of
        # operations, so that the result is timm's to the last bit.
        rows = pixels.to(torch.float32).view(count, height, -1)
        rows.div_(255).sub_(self.mean.repeat(width)).div_(self.std.repeat(width))
        return rows.view(count, height, width, -1).permute(0, 3, 1, 2)
