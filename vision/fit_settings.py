"""How images are learned from: what an ImageClassifier can be told. Knows neither torch nor Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from brightspark.core.errors import SettingError
from brightspark.core.fit_settings import ClassifierFitSettings
from brightspark.vision.settings import ReadingSettings

_OWN = {  # what timm's create_model takes that is said elsewhere
    "num_classes": "it is the number of labels",
    "pretrained": "set pretrained",
    "drop_rate": "set drop_rate",
    "features_only": "a classifier is needed",
    "checkpoint_path": "name the weights as network",
    "pretrained_cfg": "name the weights as network",
}
_SHARES = ("hflip", "vflip", "re_prob", "drop_rate")


@dataclass(frozen=True, kw_only=True)
class ImageFitSettings(ReadingSettings, ClassifierFitSettings):
    """What an ImageClassifier can be told. Augmentation goes by the names of timm's `create_transform`."""

    network: Annotated[
        str,
        "where training starts: a name of timm, a repository of the hub, a folder in timm's layout, an artifact; with "
        "pretrained=False also an architecture of timm",
    ] = ""
    pretrained: Annotated[bool, "start with the network's weights; else with random ones"] = True
    model_args: Annotated[Mapping[str, Any], "further arguments of timm's create_model, such as {'in_chans': 1}"] = (
        field(default_factory=dict)
    )
    image_size: Annotated[int | None, "pixels a side that the network gets; by default its own"] = None
    learning_rate: Annotated[float, "the highest rate, reached after the warm-up"] = 5e-4
    scale: Annotated[float, "the least share of an image's area that a random crop takes"] = 0.35
    hflip: Annotated[float, "how often an image is mirrored left to right; 0 where sides matter"] = 0.5
    vflip: Annotated[float, "how often an image is mirrored top to bottom"] = 0.0
    color_jitter: Annotated[float, "how far brightness, contrast and saturation are changed"] = 0.2
    auto_augment: Annotated[str | None, "timm's augmentation policy, such as rand-m7-mstd0.5"] = None
    re_prob: Annotated[float, "how often a random rectangle is erased"] = 0.0
    mixup: Annotated[float, "mixup's alpha; 0 for none"] = 0.0
    cutmix: Annotated[float, "CutMix's alpha; 0 for none"] = 0.0
    drop_rate: Annotated[float, "dropout before the classifier"] = 0.0
    staged_size: Annotated[
        float, "images are staged with at most this many times the network's size on their shorter side"
    ] = 2.0

    def __post_init__(self) -> None:
        ReadingSettings.__post_init__(self)
        ClassifierFitSettings.__post_init__(self)
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name}={getattr(self, name)} is a share: from 0 to 1")
        for name in ("mixup", "cutmix", "color_jitter"):
            if not getattr(self, name) >= 0:
                raise SettingError(f"{name}={getattr(self, name)} must not be negative")
        if not 0 < self.scale <= 1:
            raise SettingError(f"scale={self.scale} is a share: above 0, to 1")
        if not self.staged_size >= 1:
            raise SettingError(f"staged_size={self.staged_size} must be at least 1")
        for name in self.model_args:
            if name in _OWN:
                raise SettingError(f"model_args must not hold {name!r}: {_OWN[name]}")
        if self.image_size is not None and self.image_size < 1:
            raise SettingError(f"image_size={self.image_size} must be at least 1, or None")

    @property
    def augmentation(self) -> dict[str, Any]:
        """The arguments of timm's `create_transform`."""
        return {
            "scale": (self.scale, 1.0),
            "hflip": self.hflip,
            "vflip": self.vflip,
            "color_jitter": self.color_jitter,
            "auto_augment": self.auto_augment,
            "re_prob": self.re_prob,
        }
