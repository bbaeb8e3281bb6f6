"""Fine-tuning a timm network on pictures: the task that the training loop runs. Knows torch and timm, no Spark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data import create_transform, resolve_model_data_config
from timm.models import group_parameters
from torchvision.transforms import v2  # type: ignore[import-untyped]

from brightspark.core.classification_task import Truth, classifying
from brightspark.core.classifier_facts import ClassifierFacts
from brightspark.core.task import Batch, Record, Task
from brightspark.vision.images import open_still
from brightspark.vision.preprocessing import MODES

Example = tuple[torch.Tensor, torch.Tensor, bool]


@dataclass(frozen=True, kw_only=True)
class Facts(ClassifierFacts):
    """What the task of a training is made of; as JSON, the run's facts."""

    augmentation: Mapping[str, Any]
    """Arguments of timm's `create_transform`."""
    mixup: float
    cutmix: float
    rates: Mapping[str, float]
    """timm's dropout rates, which its layout on disk leaves out."""
    max_pixels: int


def build(raw: Mapping[str, Any]) -> Task:
    """The task of a training, from its `Facts` as JSON."""
    facts = Facts(**raw)
    network: Any = timm.create_model(f"local-dir:{facts.network}", pretrained=True, **facts.rates)
    network = network.to(memory_format=torch.channels_last)
    mixes = {"mixup": facts.mixup, "cutmix": facts.cutmix}
    return Task(
        module=network,
        columns=("content", "label"),
        example=Examples(resolve_model_data_config(network), facts),
        collate=Collate(classes=len(facts.labels), **mixes),
        **classifying(facts, depths(network)),
    )


def depths(network: Any) -> dict[str, int]:
    """Each parameter's depth by timm's blocks, 0 at the input; the classifier alone is the deepest.

    timm gives all that belongs to no block the classifier's depth: a last convolution, a last norm.
    """
    by_block = group_parameters(network, network.group_matcher(coarse=False), reverse=True)
    heads = network.get_classifier()
    own = {id(one) for head in (heads if isinstance(heads, tuple) else (heads,)) for one in head.parameters()}
    deepest = max(by_block.values()) + 1
    found = {name: deepest if id(one) in own else by_block[name] for name, one in network.named_parameters()}
    number = {depth: place for place, depth in enumerate(sorted(set(found.values())))}
    return {name: number[depth] for name, depth in found.items()}


class Examples:
    """A staged record as normalised pixels, augmented where it is for training, and its labels."""

    def __init__(self, config: Mapping[str, Any], facts: Facts) -> None:
        self.mode = MODES[config["input_size"][0]]
        self.max_pixels = facts.max_pixels
        self.truth = Truth(facts)
        self.augment = create_transform(**{**config, **facts.augmentation}, is_training=True)
        self.fit = create_transform(**config, is_training=False)

    def __call__(self, record: Record, training: bool) -> Example:
        """What a Task asks for as `example`."""
        image = open_still(io.BytesIO(record["content"]), max_pixels=self.max_pixels).decode(self.mode)
        return (self.augment if training else self.fit)(image), self.truth(record["label"]), training


class Collate:
    """Pixels and labels as a batch; where it is for training, mixed with one another if that is asked for.

    mixup: Zhang et al. 2017, arXiv:1710.09412; CutMix: Yun et al. 2019, arXiv:1905.04899. With both, each batch draws
    one of them.
    """

    def __init__(self, *, mixup: float, cutmix: float, classes: int) -> None:
        ways = [
            kind(alpha=alpha, num_classes=classes) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
        ]
        self.mix = v2.RandomChoice(ways) if ways else None

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """What a Task asks for as `collate`."""
        pictures, labels, training = zip(*examples, strict=True)
        pixels, truth = torch.stack(pictures), torch.stack(labels)
        if self.mix is not None and training[0]:
            pixels, truth = self.mix(pixels, truth)
        return pixels.contiguous(memory_format=torch.channels_last), truth
