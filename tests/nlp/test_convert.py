"""Pickled checkpoints of transformers as folders of safetensors."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from brightspark.core.errors import ArtifactError, InputError
from brightspark.nlp import TextClassifierModel
from brightspark.nlp.convert import convert
from tests.nlp.checkpoints import plain_logits, softmax


@pytest.fixture
def pickled(classifier: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "pickled"
    folder.mkdir()
    for file in classifier.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(classifier / "model.safetensors"), folder / "pytorch_model.bin")
    return folder


def test_the_same_answers_from_safetensors(classifier: Path, pickled: Path, tmp_path: Path) -> None:
    folder = convert(pickled / "pytorch_model.bin", str(pickled), tmp_path / "out", labels=["a", "b", "c", "d"])
    model = TextClassifierModel.pretrained(str(folder), precision="float32")
    assert model.labels == ("a", "b", "c", "d")
    answer = model.scorer().one({"text": "glad day"}).answer
    np.testing.assert_allclose(answer["probability"], softmax(plain_logits(classifier, ["glad day"])[0]), atol=1e-5)


def test_what_could_run_code_is_refused(pickled: Path, tmp_path: Path) -> None:
    (pickled / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Path}))
    with pytest.raises(ArtifactError, match="could not be read as weights"):
        convert(pickled / "pytorch_model.bin", str(pickled), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_is_told(pickled: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3 labels.*4 outputs"):
        convert(pickled / "pytorch_model.bin", str(pickled), tmp_path / "out", labels=["a", "b", "c"])
    with pytest.raises(InputError, match=r"no config.json"):
        convert(pickled / "pytorch_model.bin", str(tmp_path), tmp_path / "out")
    torch.save({"bert.embeddings.word_embeddings.weight": torch.zeros(2, 2)}, pickled / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match=r"lacks|do not fit"):
        convert(pickled / "pytorch_model.bin", str(pickled), tmp_path / "out")
