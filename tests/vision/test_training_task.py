"""The task of fine-tuning, without Spark: examples, mixing, losses, frozen blocks, draws by label."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import timm
import torch
from sklearn.metrics import balanced_accuracy_score

from brightspark.core.batches import seed_everything
from brightspark.core.classification_task import balanced_draws, loss, measure, metrics
from brightspark.core.errors import SettingError
from brightspark.core.optimize import make_optimizer
from brightspark.core.state import State
from brightspark.core.task import Task, added
from brightspark.core.training_settings import TrainingSettings
from brightspark.vision.fit_settings import ImageFitSettings
from brightspark.vision.training import Collate, build, depths
from tests.vision.coloured import coloured
from tests.vision.networks import LABELS

PLAIN = ImageFitSettings().augmentation


def made(network: Path, **facts: Any) -> Task:
    said = {
        "network": str(network), "labels": list(LABELS), "multi_label": False, "trained_blocks": None,
        "augmentation": PLAIN, "mixup": 0.0, "cutmix": 0.0, "label_smoothing": 0.0, "class_weights": None,
        "balanced_sampling": False, "rates": {"drop_rate": 0.0}, "max_pixels": 10_000,
    }  # fmt: skip
    return build({**said, **facts})


def record(label: Any, seed: int = 0) -> dict[str, Any]:
    file = io.BytesIO()
    coloured("red", seed, (70, 90)).save(file, "PNG")
    return {"content": file.getvalue(), "label": label}


def test_augmentation_is_drawn_for_training_only_and_repeats_by_seed(network: Path) -> None:
    example = made(network, augmentation={**PLAIN, "auto_augment": "rand-m7-mstd0.5", "re_prob": 0.5}).example
    assert example is not None

    def pixels(seed: int, training: bool) -> torch.Tensor:
        seed_everything(seed)
        shown: torch.Tensor = example(record("crane"), training)[0]
        return shown

    assert pixels(1, False).equal(pixels(2, False))
    assert pixels(1, True).equal(pixels(1, True))
    assert not pixels(1, True).equal(pixels(2, True))


@pytest.mark.parametrize("ways", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("count", [1, 5, 8])
def test_mixed_pictures_carry_the_shares_of_their_labels(ways: dict[str, float], several: bool, count: int) -> None:
    """Each picture is its label's number all over, so that its mean tells which labels it shows."""
    collate = Collate(**{"mixup": 0.0, "cutmix": 0.0, **ways}, classes=3)
    values = torch.arange(count) % 3
    truths = torch.nn.functional.one_hot(values, 3).float() if several else values
    examples = [
        (torch.full((3, 16, 16), float(value)), truth, True) for value, truth in zip(values, truths, strict=True)
    ]
    seed_everything(3)
    pixels, shares = collate(examples)
    assert torch.allclose(shares.sum(dim=1), torch.ones(count))
    assert torch.allclose(pixels.mean(dim=(1, 2, 3)), shares @ torch.arange(3.0), atol=1e-5)
    if count > 3:
        assert not shares.equal(torch.nn.functional.one_hot(values, 3).float())
    untouched, truth = collate([(picture, label, False) for picture, label, _ in examples])
    assert untouched.equal(torch.stack([picture for picture, _, _ in examples]))
    assert truth.equal(truths)


def test_several_labels_are_a_truth_each(network: Path) -> None:
    task = made(network, multi_label=True, label_smoothing=0.2)
    assert task.example is not None
    assert task.collate is not None
    labels: list[list[str]] = [["beaver", "ferry"], []]
    batch = task.collate([task.example(record(names), True) for names in labels])
    assert batch[1].tolist() == [[0, 1, 0, 0, 0, 1, 0], [0] * 7]
    task.module.train()
    logits = task.module(batch[0]).float().detach()
    smoothed = batch[1] * 0.8 + 0.1
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, smoothed)
    found = task.loss(task.module, batch)
    assert float(found.total.detach() / found.weight) == pytest.approx(float(expected), rel=0.05)  # its dropout draws


def test_validation_loss_is_not_smoothed(network: Path) -> None:
    task = made(network, label_smoothing=0.3)
    task.module.eval()
    batch = (torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 3]))
    smoothed, plain = (loss(task.module, batch, smoothing=share, weights=None).total for share in (0.3, 0.0))
    assert smoothed.equal(plain)


@pytest.mark.parametrize(("blocks", "trained"), [(0, set()), (1, {"blocks.4.0", "conv_head", "bn2"})])
def test_frozen_blocks_learn_nothing_not_even_their_norms(network: Path, blocks: int, trained: set[str]) -> None:
    task = made(network, trained_blocks=blocks)
    settings = TrainingSettings(precision="float32", learning_rate=0.1)
    before = {name: tensor.clone() for name, tensor in task.module.state_dict().items()}
    state = State.fresh(task, settings, 2, torch.device("cpu"))
    state.to_learn()
    batch = (torch.randn(8, 3, 64, 64), torch.arange(8) % 7)
    task.loss(state.module, batch).total.backward()
    state.optimizer.step()
    after = task.module.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in changed if not name.startswith((*trained, "classifier"))} == set()
    assert all(any(name.startswith(part) for name in changed) for part in {*trained, "classifier"})


def test_the_classifier_alone_is_the_deepest() -> None:
    """MobileNetV3 has a convolution after its pooling, which timm puts beside the classifier."""
    found = depths(timm.create_model("mobilenetv3_small_050"))
    deepest = {name for name, depth in found.items() if depth == max(found.values())}
    assert deepest == {"classifier.weight", "classifier.bias"}
    assert sorted(set(found.values())) == list(range(max(found.values()) + 1))


def test_more_blocks_than_there_are_is_told(network: Path) -> None:
    with pytest.raises(SettingError, match="trained_blocks=99, but the network has"):
        made(network, trained_blocks=99)


def test_rates_fall_with_depth(network: Path) -> None:
    task = made(network)
    optimizer = make_optimizer(task, TrainingSettings(layer_decay=0.5, learning_rate=1.0))
    rate = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    named = dict(task.module.named_parameters())
    assert rate[id(named["classifier.weight"])] == 1.0
    assert rate[id(named["conv_head.weight"])] == 0.5
    assert rate[id(named["conv_stem.weight"])] < 0.1


def test_every_label_is_drawn_as_often_as_every_other() -> None:
    labels = ["common"] * 1000 + ["rare"]
    weights = np.array(balanced_draws(pa.table({"label": labels})))
    assert weights[:1000].sum() == pytest.approx(weights[1000])
    several = [["a"], ["a", "b"], ["a"], [], None]
    weights = np.array(balanced_draws(pa.table({"label": several})))
    assert weights.tolist() == [1 / 3, 1, 1 / 3, 1 / 2, 1 / 2]


def test_balanced_accuracy_is_scikit_learns() -> None:
    truth = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    answers = torch.tensor([0, 1, 0, 1, 1, 0, 2, 2])
    logits = torch.nn.functional.one_hot(answers, 4).float()
    parts = [
        measure(torch.nn.Identity(), (logits[part], truth[part]), classes=4) for part in (slice(0, 3), slice(3, 8))
    ]
    found = metrics(added(parts))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, answers))
    assert found["accuracy"] == 6 / 8
