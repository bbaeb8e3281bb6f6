"""A pickled checkpoint becomes safetensors, tensors only and in its own order; what is more than tensors never runs."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from brightspark.core.convert import to_safetensors
from brightspark.core.errors import ArtifactError


class Evil:
    """Touches a file where it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.touched}",)


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "checkpoint.pth")
    return folder / "checkpoint.pth"


def test_tensors_come_out_equal_in_the_checkpoints_order(tmp_path: Path) -> None:
    """With tied weights, a view, half precision, a wrapper around them, and DataParallel's prefix."""
    tied = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    state = OrderedDict(z=tied, a=tied, half=tied.half(), view=tied.T, scalar=torch.tensor(7))
    wrapped = {
        "epoch": 3,
        "best": 0.5,
        "state_dict": OrderedDict((f"module.{name}", tensor) for name, tensor in state.items()),
        "optimizer": {"state": {}, "lr": [0.1]},
    }
    names = to_safetensors(saved(tmp_path, wrapped), tmp_path / "out.safetensors")
    assert names == ["z", "a", "half", "view", "scalar"]
    written = load_file(tmp_path / "out.safetensors")
    assert set(written) == set(names)
    for name, tensor in state.items():
        assert written[name].dtype == tensor.dtype
        assert torch.equal(written[name], tensor)


@pytest.mark.slow
def test_wrappers_are_taken_off(tmp_path: Path) -> None:
    weights, averaged = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    checkpoints: list[tuple[dict[str, Any], float]] = [
        (weights, 0),
        ({"model": {"state_dict": weights}}, 0),
        ({"state_dict": weights, "state_dict_ema": averaged}, 1),
    ]
    for content, wanted in checkpoints:
        assert to_safetensors(saved(tmp_path, content), tmp_path / "out.safetensors") == ["w"]
        assert load_file(tmp_path / "out.safetensors")["w"].tolist() == [wanted] * 2


def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    checkpoint, touched = tmp_path / "pytorch_model.bin", tmp_path / "touched"
    checkpoint.write_bytes(pickle.dumps({"w": Evil(touched)}, protocol=2))
    with pytest.raises(ArtifactError, match=r"pytorch_model\.bin could not be read as weights.*system") as caught:
        to_safetensors(checkpoint, tmp_path / "out.safetensors")
    assert "False" not in str(caught.value), "nobody is told how to run it all the same"
    assert not touched.exists()
    assert not (tmp_path / "out.safetensors").exists()
    os.system(f"touch {touched}")  # the check can fail: the same command makes the file
    assert touched.exists()


@pytest.mark.slow
def test_what_is_no_checkpoint_says_why(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2), "evil": Evil(tmp_path / "touched")}, tmp_path / "evil.pth")
    torch.save({"epoch": 1}, tmp_path / "empty.pth")
    torch.save(torch.ones(2), tmp_path / "bare.pth")
    (tmp_path / "text.pth").write_text("hello world")
    for name, reason in {
        "evil.pth": "could run code, and is not opened .*system",
        "empty.pth": "no named tensors",
        "bare.pth": "no named tensors",
        "text.pth": "no checkpoint",
        "gone.pth": "No such file",
    }.items():
        with pytest.raises(ArtifactError, match=rf"{name} could not be read as weights: .*{reason}"):
            to_safetensors(tmp_path / name, tmp_path / "out.safetensors")
    assert not (tmp_path / "touched").exists()
