"""`convert` tells what a checkpoint cannot: how its images are prepared, and what its classes are called."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from brightspark.vision.convert import convert


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "weights.pth"
    torch.save(timm.create_model("resnet18").state_dict(), path)
    return path


def test_what_is_guessed_is_told(checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    convert(checkpoint, "resnet18", tmp_path / "model")
    preparation, names = (record.getMessage() for record in caplog.records)
    assert "as for resnet18.a1_in1k: input_size (3, 224, 224), crop_pct 0.95" in preparation
    assert "resnet18.tv_in1k" in preparation
    assert "the 1000 classes are called tench" in names


def test_what_is_named_is_not(checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = [f"class {number}" for number in range(1000)]
    convert(checkpoint, "resnet18.a1_in1k", tmp_path / "model", labels=labels)
    assert caplog.records == []
