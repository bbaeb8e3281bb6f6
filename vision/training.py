"""Fine-tuning a timm network on pictures: the task that the training loop runs. Knows torch and timm, no Spark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import timm
import torch
from numpy.typing import NDArray
from timm.data import create_transform, resolve_model_data_config
from timm.models import group_parameters
from torchvision.transforms import v2  # type: ignore[import-untyped]

from brightspark.core.cross_entropy import cross_entropy
from brightspark.core.errors import SettingError
from brightspark.core.task import Batch, Loss, Record, Sums, Task
from brightspark.vision.images import open_still
from brightspark.vision.preprocessing import MODES

MEASURED_CLASSES = 1000  # with more, an epoch's balanced accuracy is left out

Example = tuple[torch.Tensor, torch.Tensor, bool]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the task of a training is made of; as JSON, the run's facts."""

    network: str
    """A folder in timm's `local-dir:` layout, with an output for each label."""
    labels: Sequence[str]
    multi_label: bool
    trained_blocks: int | None
    augmentation: Mapping[str, Any]
    """Arguments of timm's `create_transform`."""
    mixup: float
    cutmix: float
    label_smoothing: float
    class_weights: Sequence[float] | None
    balanced_sampling: bool
    rates: Mapping[str, float]
    """timm's dropout rates, which its layout on disk leaves out."""
    max_pixels: int


def build(raw: Mapping[str, Any]) -> Task:
    """The task of a training, from its `Facts` as JSON."""
    facts = Facts(**raw)
    network: Any = timm.create_model(f"local-dir:{facts.network}", pretrained=True, **facts.rates)
    network = network.to(memory_format=torch.channels_last)
    depth = depths(network)
    mixes = {"mixup": facts.mixup, "cutmix": facts.cutmix}
    return Task(
        module=network,
        columns=("content", "label"),
        example=Examples(resolve_model_data_config(network), facts),
        collate=Collate(classes=len(facts.labels), **mixes),
        loss=partial(
            multi_label_loss if facts.multi_label else loss,
            smoothing=facts.label_smoothing,
            weights=facts.class_weights,
        ),
        measure=measure_multi_label if facts.multi_label else partial(measure, classes=len(facts.labels)),
        metrics=metrics,
        depth=depth.__getitem__,
        frozen=partial(_is_frozen, depth=depth, first=_first_trained(depth, facts.trained_blocks)),
        weigh=balanced_draws if facts.balanced_sampling else None,
        weigh_columns=("label",),
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


def _first_trained(depth: Mapping[str, int], blocks: int | None) -> int:
    """The depth from which on parameters learn; the classifier is the deepest."""
    if blocks is None:
        return 0
    depths = sorted(set(depth.values()))
    if blocks >= len(depths):
        raise SettingError(f"trained_blocks={blocks}, but the network has {len(depths) - 1} below its classifier")
    return depths[len(depths) - 1 - blocks]


def _is_frozen(name: str, *, depth: Mapping[str, int], first: int) -> bool:
    return depth[name] < first


class Examples:
    """A staged record as normalised pixels, augmented where it is for training, and its labels."""

    def __init__(self, config: Mapping[str, Any], facts: Facts) -> None:
        self.mode = MODES[config["input_size"][0]]
        self.multi_label, self.max_pixels = facts.multi_label, facts.max_pixels
        self.index = {name: index for index, name in enumerate(facts.labels)}
        self.augment = create_transform(**{**config, **facts.augmentation}, is_training=True)
        self.fit = create_transform(**config, is_training=False)

    def __call__(self, record: Record, training: bool) -> Example:
        """What a Task asks for as `example`."""
        image = open_still(io.BytesIO(record["content"]), max_pixels=self.max_pixels).decode(self.mode)
        return (self.augment if training else self.fit)(image), self._truth(record["label"]), training

    def _truth(self, label: Any) -> torch.Tensor:
        if not self.multi_label:
            return torch.tensor(self.index[label])
        truth = torch.zeros(len(self.index))
        truth[[self.index[name] for name in label]] = 1
        return truth


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


def loss(module: torch.nn.Module, batch: Batch, *, smoothing: float, weights: Sequence[float] | None) -> Loss:
    """Cross entropy; of validation rows without smoothing, so that it can be told from a better calibrated one."""
    pixels, truth = batch
    return cross_entropy(
        module(pixels), truth, label_smoothing=smoothing if module.training else 0.0, class_weights=weights
    )


def multi_label_loss(
    module: torch.nn.Module, batch: Batch, *, smoothing: float, weights: Sequence[float] | None
) -> Loss:
    """Binary cross entropy, its mean over the labels added up over the pictures; `weights` are of the positives."""
    pixels, truth = batch
    if module.training:
        truth = truth * (1 - smoothing) + smoothing / 2
    positive = None if weights is None else torch.tensor(weights, dtype=torch.float32, device=truth.device)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        module(pixels).float(), truth, pos_weight=positive, reduction="none"
    )
    return Loss(each.mean(dim=1).sum(), len(truth))


def measure(module: torch.nn.Module, batch: Batch, *, classes: int) -> Sums:
    """Hits and rows, in all and, where the classes are not too many, by class."""
    pixels, truth = batch
    right = module(pixels).argmax(dim=1) == truth
    sums = {"hits": float(right.sum()), "rows": float(len(truth))}
    if classes <= MEASURED_CLASSES:
        for label in truth.unique().tolist():
            sums[f"hits of {label}"] = float(right[truth == label].sum())
            sums[f"rows of {label}"] = float((truth == label).sum())
    return sums


def measure_multi_label(module: torch.nn.Module, batch: Batch) -> Sums:
    """Labels told right, of all labels of all rows."""
    pixels, truth = batch
    right = (module(pixels) > 0) == truth.bool()
    return {"hits": float(right.sum()), "rows": float(right.numel())}


def metrics(sums: Sums) -> dict[str, float]:
    """`accuracy` and, of single labels, `balanced_accuracy`: the mean of the recalls of the classes that occur."""
    found = {"accuracy": sums["hits"] / sums["rows"]}
    recalls = [sums[f"hits of {name[8:]}"] / rows for name, rows in sums.items() if name.startswith("rows of ")]
    return {**found, "balanced_accuracy": sum(recalls) / len(recalls)} if recalls else found


def balanced_draws(table: pa.Table) -> NDArray[np.float64]:
    """Weights by which every label is drawn as often as every other; of several labels a row's rarest one counts."""
    column = table.column("label").combine_chunks()
    if not pa.types.is_list(column.type):
        return 1 / _rows_of_each(column)
    rows, each = pc.list_parent_indices(column).to_numpy(), 1 / _rows_of_each(pc.list_flatten(column))
    weights = np.zeros(len(column))
    np.maximum.at(weights, rows, each)
    without = weights == 0
    weights[without] = 1 / max(1, without.sum())
    return weights


def _rows_of_each(labels: pa.Array) -> NDArray[np.float64]:
    """How many there are of each label, at each label's place."""
    numbers = labels.dictionary_encode().indices.to_numpy()
    return np.bincount(numbers).astype(np.float64)[numbers] if len(numbers) else np.zeros(0)
