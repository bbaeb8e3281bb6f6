"""`pretrained` finds weights wherever timm keeps them, never unpickles, and says what to do where there are none."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from brightspark.core.errors import ArtifactError, InputError, SettingError
from brightspark.vision import ImageClassifierModel
from brightspark.vision.network import load_network
from brightspark.vision.pretrained import FILES
from tests.vision.networks import LABELS, configure, plain_timm, save_network
from tests.vision.pictures import picture

ROOT = Path(__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def answer(model: ImageClassifierModel, seed: int = 0) -> dict[str, Any]:
    outcome = model.scorer().one({"content": png(seed)})
    assert outcome.error is None
    answered: dict[str, Any] = outcome.answer
    return answered


def assert_plain(model: ImageClassifierModel, folder: Path) -> None:
    wanted = plain_timm(folder, [picture(seed) for seed in range(5)])
    for seed, row in enumerate(wanted):
        np.testing.assert_allclose(answer(model, seed)["probability"], row, atol=1e-4)


class TestLocalFolders:
    @pytest.mark.parametrize("prefix", ["", "local-dir:", "file://"])
    def test_a_folder(self, prefix: str, network: Path) -> None:
        model = ImageClassifierModel.pretrained(f"{prefix}{network}", precision="float32")
        assert model.labels == LABELS
        assert_plain(model, network)

    def test_a_folder_below_here(self, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(network.parent)
        assert ImageClassifierModel.pretrained(network.name).labels == LABELS

    def test_an_artifact_keeps_its_settings_until_told_otherwise(self, network: Path, tmp_path: Path) -> None:
        made = ImageClassifierModel.pretrained(str(network), precision="float32", top_k=2, batch_size=3)
        made.save(str(tmp_path / "artifact"))
        model = ImageClassifierModel.pretrained(str(tmp_path / "artifact"), batch_size=5)
        assert (model.settings.top_k, model.settings.batch_size, model.labels) == (2, 5, LABELS)
        assert_plain(model, network)
        assert_plain(model, tmp_path / "artifact")  # timm opens it without us

    def test_an_artifact_at_home_is_one(self, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With its settings, and its files checked."""
        monkeypatch.setenv("HOME", str(tmp_path))
        ImageClassifierModel.pretrained(str(network), top_k=2).save(str(tmp_path / "models" / "ct"))
        assert ImageClassifierModel.pretrained("~/models/ct").settings.top_k == 2
        (tmp_path / "models" / "ct" / "config.json").write_text("{}")
        with pytest.raises(ArtifactError, match=r"config\.json .* was changed"):
            ImageClassifierModel.pretrained("~/models/ct")

    def test_an_unknown_setting_is_named(self, network: Path) -> None:
        with pytest.raises(SettingError, match="top_k"):
            ImageClassifierModel.pretrained(str(network), top_n=2)

    def test_pickled_weights_are_refused(self, network: Path, tmp_path: Path) -> None:
        shutil.copy(network / "config.json", tmp_path)
        torch.save(load_file(network / "model.safetensors"), tmp_path / "pytorch_model.bin")
        with pytest.raises(ArtifactError, match=r"pytorch_model\.bin.*`brightspark convert pytorch_model\.bin"):
            ImageClassifierModel.pretrained(str(tmp_path))

    def test_a_pickle_with_another_name_is_refused(self, network: Path, tmp_path: Path) -> None:
        shutil.copy(network / "config.json", tmp_path)
        torch.save(load_file(network / "model.safetensors"), tmp_path / "model.safetensors")
        with pytest.raises(ArtifactError, match="is not safetensors"):
            ImageClassifierModel.pretrained(str(tmp_path))

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match=r"no model\.safetensors"):
            ImageClassifierModel.pretrained(str(tmp_path))

    @pytest.mark.parametrize("config", ["", "[]", "{}", '{"pretrained_cfg": null}'])
    def test_a_config_that_is_not_timms_is_refused(self, config: str, network: Path, tmp_path: Path) -> None:
        shutil.copy(network / "model.safetensors", tmp_path)
        (tmp_path / "config.json").write_text(config)
        with pytest.raises(ArtifactError, match=r"config\.json is not timm's"):
            ImageClassifierModel.pretrained(str(tmp_path))


class TestLabels:
    @pytest.mark.parametrize("names", [LABELS[:-1], [*LABELS[:-1], LABELS[0]]])
    def test_a_wrong_number_of_labels_is_refused(self, names: Any, network: Path, tmp_path: Path) -> None:
        folder = configure(Path(shutil.copytree(network, tmp_path / "model")), {}, label_names=list(names))
        with pytest.raises(ArtifactError, match="6 different label_names for 7 classes"):
            ImageClassifierModel.pretrained(str(folder))

    def test_without_names_labels_are_numbers(self, network: Path, tmp_path: Path) -> None:
        folder = configure(Path(shutil.copytree(network, tmp_path / "model")), {}, label_names=None)
        model = ImageClassifierModel.pretrained(str(folder))
        assert model.labels == tuple("0123456")
        assert answer(model)["prediction"] in model.labels

    def test_a_thousand_classes_are_imagenets(self, tmp_path: Path) -> None:
        folder = save_network(tmp_path / "model", labels=[str(number) for number in range(1000)])
        model = ImageClassifierModel.pretrained(str(configure(folder, {}, label_names=None)))
        assert model.labels[207] == "golden retriever"
        assert len(set(model.labels)) == 1000

    def test_descriptions_are_shown_where_there_are_any(self, network: Path, tmp_path: Path) -> None:
        folder = configure(
            Path(shutil.copytree(network, tmp_path / "model")),
            {},
            label_descriptions={"crane": "bird", "ferry": "bird", "anchor": "iron"},
        )
        labels = ImageClassifierModel.pretrained(str(folder)).labels
        assert labels == ("iron", "beaver", "bird (crane)", "dahlia", "euphonium", "bird (ferry)", "gerenuk")

    def test_a_network_without_a_classifier_is_refused(self, network: Path, tmp_path: Path) -> None:
        folder = configure(Path(shutil.copytree(network, tmp_path / "model")), {}, num_classes=0)
        with pytest.raises(ArtifactError, match="without a classifier"):
            ImageClassifierModel.pretrained(str(folder))


class TestNetworks:
    """Any architecture of timm answers as it does in timm."""

    @pytest.mark.parametrize(
        "architecture",
        ["test_vit_relpos", "mobilenetv3_small_050"]
        + [pytest.param(name, marks=pytest.mark.slow) for name in ("test_vit", "test_convnext")],
    )
    def test_an_architecture(self, architecture: str, tmp_path: Path) -> None:
        folder = save_network(tmp_path / "model", architecture, config={})
        assert_plain(ImageClassifierModel.pretrained(str(folder), precision="float32"), folder)

    def test_buffers_that_are_computed_and_not_stored(self, tmp_path: Path) -> None:
        folder = save_network(tmp_path / "model", "test_vit_relpos", config={})
        loaded = load_network(folder)
        stored = set(load_file(folder / "model.safetensors"))
        computed = [tensor for name, tensor in loaded.named_buffers() if name not in stored]
        assert computed
        assert not any(tensor.is_meta for tensor in computed)

    def test_weights_in_half_precision(self, network: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(network, tmp_path / "model"))
        weights = load_file(folder / "model.safetensors")
        halved = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
        save_file(halved, folder / "model.safetensors")
        assert_plain(ImageClassifierModel.pretrained(str(folder), precision="float32"), folder)

    def test_weights_of_another_architecture_are_refused(self, network: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(network, tmp_path / "model"))
        save_file({"stem.weight": torch.zeros(1)}, folder / "model.safetensors")
        with pytest.raises(ArtifactError, match="do not fit"):
            ImageClassifierModel.pretrained(str(folder)).scorer()

    def test_weights_stay_mapped_from_the_file(self, tmp_path: Path) -> None:
        """So that the workers of a machine share them: the parameters lie within the file's own pages."""
        folder = save_network(tmp_path / "model", "resnet10t", config={})
        loaded = load_network(folder)
        ranges = [
            tuple(int(end, 16) for end in line.split()[0].split("-"))
            for line in Path("/proc/self/maps").read_text().splitlines()
            if line.endswith(f"{folder}/model.safetensors")
        ]
        assert ranges
        for tensor in loaded.parameters():
            assert any(start <= tensor.data_ptr() < end for start, end in ranges)


class TestNames:
    """Names of timm and of the hub; no test asks a hub."""

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("resnett18", "did you mean .*'resnet18'"),
            ("resnet18.a1_in1kk", "did you mean 'resnet18.a1_in1k'"),
            ("resnet18.nonsense", "'resnet18.nonsense' is no folder here"),
            ("qwertz", r"timm.list_models\(pretrained=True\) lists them"),
            ("./models/mine", "no name that a hub can have|no folder here"),
            ("a/b/c", "no name that a hub can have"),
        ],
    )
    def test_a_name_that_nobody_knows(self, name: str, hint: str) -> None:
        with pytest.raises(InputError, match=hint):
            ImageClassifierModel.pretrained(name)

    @pytest.fixture
    def hub_cache(self, network: Path, tmp_path: Path) -> Path:
        """The hub's cache as its own library lays it out, with the small network under the names of two others."""
        cache = tmp_path / "hub"
        for name in ("acme/cats-and-ferries", "timm/resnet10t.c3_in1k"):
            repository = cache / f"models--{name.replace('/', '--')}"
            snapshot = repository / "snapshots" / REVISION
            for folder in (snapshot, repository / "blobs", repository / "refs"):
                folder.mkdir(parents=True)
            for number, file in enumerate(FILES):
                shutil.copy(network / file, repository / "blobs" / f"b10b{number}")
                (snapshot / file).symlink_to(f"../../blobs/b10b{number}")
            (repository / "refs" / "main").write_text(REVISION)
        return cache

    def test_the_hubs_cache(self, hub_cache: Path, network: Path, tmp_path: Path) -> None:
        """Offline, in a process of its own: the hub's library reads its environment once."""
        (tmp_path / "0.png").write_bytes(png(0))
        program = """
import json, sys
from brightspark.core.errors import InputError
from brightspark.vision import ImageClassifierModel
for name in sys.argv[2:]:
    try:
        model = ImageClassifierModel.pretrained(name, precision="float32")
        outcome = model.scorer().one({"path": sys.argv[1]})
        print(json.dumps([outcome.answer["prediction"], outcome.answer["probability"].tolist()]))
    except InputError as error:
        print(json.dumps(str(error)))
"""
        known = ["acme/cats-and-ferries", "hf-hub:acme/cats-and-ferries", "resnet10t.c3_in1k", "timm/resnet10t.c3_in1k",
                 "resnet10t"]  # fmt: skip
        unknown = ["acme/dogs", "resnet18"]
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "0.png"), *known, *unknown],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(hub_cache)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        said = [json.loads(line) for line in done.stdout.splitlines()]
        (wanted,) = plain_timm(network, [picture(0)])
        for prediction, probability in said[: len(known)]:
            assert prediction == LABELS[int(wanted.argmax())]
            np.testing.assert_allclose(probability, wanted, atol=1e-4)
        assert "'acme/dogs' is not in the hub's cache" in said[-2]
        assert "'timm/resnet18.a1_in1k' is not in the hub's cache" in said[-1]


def test_a_scorer_outside_of_spark_leaves_torchs_threads_alone(tmp_path: Path) -> None:
    """A notebook's other work must not become single-threaded because it asked for a scorer."""
    save_network(tmp_path)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        ImageClassifierModel.pretrained(str(tmp_path)).scorer()
        assert torch.get_num_threads() == 2
        ImageClassifierModel.pretrained(str(tmp_path), threads=1).scorer()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
