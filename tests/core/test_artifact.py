"""An artifact is whole, unchanged, inside its folder and free of pickles, or it is refused by name."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from safetensors.torch import save_file

from brightspark.core.artifact import describe, is_artifact, open_artifact, writing
from brightspark.core.errors import ArtifactError, InputError, StorageError
from brightspark.core.storage import SCHEMES, Storage
from tests.core import store
from tests.core.toy import ToyModel

SETTINGS = {"none": None, "tuple": ["a", "b"], "dict": {"x": [1, 2.5]}, "text": "ä|b", "flag": True}


def make(folder: Path | str, **more: Any) -> Any:
    with writing(folder, kind="example", labels=["cat", "dög"], columns=["prediction"], **more) as made:
        (made / "config.json").write_text('{"classes": 2}')
        (made / "deep").mkdir()
        save_file({"weight": torch.arange(4.0)}, made / "deep" / "model.safetensors")
    return folder


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return Path(make(tmp_path / "model", settings=SETTINGS, metrics={"accuracy": 0.9}))


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "brightspark.json").read_text())
    change(manifest)
    (folder / "brightspark.json").write_text(json.dumps(manifest))


# What is written is what is read


def test_everything_comes_back(artifact: Path) -> None:
    opened = open_artifact(artifact, kind="example")
    assert opened.address == str(artifact)
    assert opened.settings == SETTINGS
    assert opened.labels == ("cat", "dög")
    assert opened.columns == ("prediction",)
    assert opened.metrics == {"accuracy": 0.9}
    assert set(opened.files) == {"config.json", "deep/model.safetensors"}
    assert opened.libraries["torch"] == torch.__version__.partition("+")[0]


def test_settings_of_a_model_come_back_typed(tmp_path: Path) -> None:
    options = {"profile": "mine", "client_kwargs": {"region_name": "x"}}
    model = ToyModel.make(tmp_path / "toy", schemes=("s3", "file"), base=None, storage_options=options, batch_size=7)
    model.save(str(tmp_path / "saved"))
    loaded = ToyModel.load(str(tmp_path / "saved"))
    assert loaded.settings == model.settings
    assert (loaded.settings.schemes, loaded.settings.base) == (("s3", "file"), None)
    assert loaded.settings.storage_options == options


def test_the_card_says_what_it_is(artifact: Path) -> None:
    card = (artifact / "README.md").read_text()
    for said in ("# example", "cat, dög", "| accuracy | 0.9 |", "| torch |", "| flag | True |"):
        assert said in card
    assert r"ä\|b" in card, "a pipe would end the table's cell"


def test_a_card_in_the_model_is_replaced_by_ours(tmp_path: Path) -> None:
    with writing(tmp_path / "model", kind="example") as made:
        (made / "README.md").write_text("another library's")
    assert open_artifact(tmp_path / "model").files == {}
    assert "example" in (tmp_path / "model" / "README.md").read_text()


def test_the_digest_names_the_content(tmp_path: Path) -> None:
    one, two = (open_artifact(make(tmp_path / name)) for name in ("one", "two"))
    assert one.digest == two.digest
    (tmp_path / "one" / "config.json").write_text("{}")
    assert describe(tmp_path / "one", kind="example", files=list(one.files)).digest != two.digest


# What is refused


@pytest.mark.parametrize("name", ["config.json", "deep/model.safetensors"])
def test_one_changed_byte_is_refused_by_name(artifact: Path, name: str) -> None:
    data = bytearray((artifact / name).read_bytes())
    data[-1] ^= 1
    (artifact / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"{name} in .* was changed"):
        open_artifact(artifact)


def test_a_missing_file_is_refused_by_name(artifact: Path) -> None:
    (artifact / "config.json").unlink()
    with pytest.raises(ArtifactError, match=r"config\.json is missing"):
        open_artifact(artifact)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_format_version_is_refused(artifact: Path, version: object) -> None:
    change_manifest(artifact, lambda manifest: manifest.update(format_version=version))
    with pytest.raises(ArtifactError, match=f"format version {version!r}; this brightspark reads version 1"):
        open_artifact(artifact)


def test_another_kind_is_refused(artifact: Path) -> None:
    with pytest.raises(ArtifactError, match="'example', not a 'toy'"):
        open_artifact(artifact, kind="toy")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"format_version": 1}',
     '{"format_version": 1, "kind": "x", "files": ["a.json"], "settings": {}, "labels": [], "columns": [], '
     '"libraries": {}, "metrics": {}}'],
)  # fmt: skip
def test_a_damaged_manifest_is_refused(artifact: Path, text: str) -> None:
    (artifact / "brightspark.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"damaged|format version"):
        open_artifact(artifact)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "model.pt", "weights.pkl", "code.py", "lib.so"])
def test_formats_that_can_run_code_are_refused(artifact: Path, name: str) -> None:
    (artifact / name).write_bytes(pickle.dumps({"a": 1}))
    change_manifest(artifact, lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(ArtifactError, match=f"{name}.*no format that is safe"):
        open_artifact(artifact)
    with pytest.raises(ArtifactError, match="no format that is safe"):
        describe(artifact, kind="example", files=[name])
    with pytest.raises(ArtifactError, match="no format that is safe"), writing(artifact / "new", kind="x") as made:
        (made / name).write_bytes(b"")


@pytest.mark.parametrize("how", ["pickle", "torch", "empty"])
def test_a_pickle_named_safetensors_is_refused(artifact: Path, how: str) -> None:
    file = artifact / "deep" / "model.safetensors"
    if how == "torch":
        torch.save({"weight": torch.ones(2)}, file)
    else:
        file.write_bytes(pickle.dumps({"weight": [1.0] * 100}) if how == "pickle" else b"")
    # Even with the right hash: whoever can write the one can write the other.
    honest = {"deep/model.safetensors": hashlib.sha256(file.read_bytes()).hexdigest()}
    change_manifest(artifact, lambda manifest: manifest["files"].update(honest))
    for act in (open_artifact, lambda folder: describe(folder, kind="x", files=list(honest))):
        with pytest.raises(ArtifactError, match=r"model\.safetensors in .* is not safetensors"):
            act(artifact)


@pytest.mark.parametrize("name", ["../x.json", "/etc/x.json", "a/../../x.json", "..\\x.json", "file:/x.json", ""])
def test_a_path_that_leads_outside_is_refused(artifact: Path, name: str) -> None:
    (artifact.parent / "x.json").write_text("{}")
    change_manifest(artifact, lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(ArtifactError, match="leads out of the artifact's folder"):
        open_artifact(artifact)


@pytest.mark.parametrize("linked", ["config.json", "deep"])
def test_a_link_that_leads_outside_is_refused_where_hashes_are_ours(artifact: Path, linked: str) -> None:
    outside = artifact.parent / "outside"
    (artifact / linked).rename(outside)
    (artifact / linked).symlink_to(outside)
    with pytest.raises(ArtifactError, match="leads out of the artifact's folder"):
        open_artifact(artifact)
    # A hub's snapshot is made of such links.
    assert set(describe(artifact, kind="x", files=["config.json"]).files) == {"config.json"}


def test_a_folder_that_is_itself_a_link_is_opened(artifact: Path) -> None:
    (artifact.parent / "latest").symlink_to(artifact)
    assert open_artifact(artifact.parent / "latest").address == str(artifact)


def test_what_is_no_artifact_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        assert not is_artifact(path)
        with pytest.raises(ArtifactError, match=r"no artifact: it has no brightspark\.json"):
            open_artifact(path)
    assert not is_artifact("http://host/model")
    with pytest.raises(ArtifactError, match=r"'http'.*not allowed"):
        open_artifact("http://host/model")


# Half an artifact is never seen


def write_half(path: Path | str, **more: Any) -> None:
    with writing(path, kind="half", **more) as made:
        (made / "config.json").write_text("{}")
        assert not is_artifact(path) or open_artifact(path).kind != "half"
        raise KeyError


def test_nothing_is_seen_of_a_writing_that_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_half(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_overwriting_that_fails_keeps_the_old_one(artifact: Path) -> None:
    before = open_artifact(artifact)
    with pytest.raises(KeyError):
        write_half(artifact, overwrite=True)
    assert open_artifact(artifact) == before
    assert [path.name for path in artifact.parent.iterdir()] == ["model"]


def test_overwriting_replaces_all_of_it(artifact: Path) -> None:
    (artifact / "stale.json").write_text("{}")
    with writing(artifact, kind="other", overwrite=True) as made:
        (made / "new.json").write_text("{}")
    assert set(open_artifact(artifact).files) == {"new.json"}
    assert {path.name for path in artifact.iterdir()} == {"new.json", "README.md", "brightspark.json"}
    assert [path.name for path in artifact.parent.iterdir()] == ["model"]


def test_nothing_is_overwritten_unasked(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (artifact, tmp_path / "file"):
        with pytest.raises(InputError, match="exists already"), writing(path, kind="x"):
            pytest.fail("refused before any work")
    (tmp_path / "empty").mkdir()
    assert is_artifact(make(tmp_path / "empty"))


def test_of_two_writers_the_second_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did another process write it"), writing(tmp_path / "model", kind="late"):
        make(tmp_path / "model")
    assert open_artifact(tmp_path / "model").kind == "example"


def test_a_file_may_be_overwritten_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    make(tmp_path / "model", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# At a URI


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "store").mkdir()
    monkeypatch.setenv(store.ROOT_VARIABLE, str(tmp_path / "store"))
    store.register()
    return f"oss://{tmp_path.name}"


def test_a_uri_is_written_and_read(bucket: str, tmp_path: Path) -> None:
    address = f"{bucket}/model"
    assert not is_artifact(address)
    make(address, settings=SETTINGS)
    assert is_artifact(address)
    opened = open_artifact(address, kind="example")
    assert opened.address == address
    assert opened.settings == SETTINGS
    assert opened.digest == open_artifact(make(tmp_path / "same")).digest
    with pytest.raises(InputError, match="exists already"):
        make(address)


def test_a_uri_without_its_manifest_is_no_artifact(bucket: str) -> None:
    class Full(store.FolderStore):
        def put_file(self, lpath: str, rpath: str, **more: Any) -> None:
            if rpath.endswith("brightspark.json"):
                raise OSError("the bucket is full")
            super().put_file(lpath, rpath, **more)

    address = f"{bucket}-full/model"
    fsspec.register_implementation("oss", Full, clobber=True)
    with pytest.raises(OSError, match="full"):
        make(address)
    assert not is_artifact(address)


def test_a_block_that_fails_keeps_the_one_at_the_uri(bucket: str) -> None:
    address = f"{bucket}/kept"
    make(address)
    with pytest.raises(KeyError):
        write_half(address, overwrite=True)
    assert open_artifact(address).kind == "example"
    with writing(address, kind="other", overwrite=True) as made:
        (made / "new.json").write_text("{}")
    assert open_artifact(address).kind == "other"


def test_another_storage_is_used_when_it_is_allowed() -> None:
    allowed = Storage(schemes=SCHEMES | {"memory"})
    with pytest.raises(StorageError, match=r"'memory'.*not allowed"), writing("memory://artifacts/x", kind="x"):
        pytest.fail("refused before any work")
    make("memory://artifacts/x", storage=allowed)
    assert open_artifact("memory://artifacts/x", storage=allowed).kind == "example"
    with pytest.raises(InputError, match="exists already"):
        make("memory://artifacts/x", storage=allowed)
