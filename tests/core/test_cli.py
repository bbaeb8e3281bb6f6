"""The command line: what it answers, what it writes, and with which exit code it ends.

Commands run in this process, in the tests' session; one test runs the real thing in processes of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brightspark.core import cli
from tests.vision.coloured import save_coloured

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def brightspark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command as the console script does; gives its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["brightspark", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photographs in their classes' folders, and one file that is none."""
    from brightspark import samples

    folder = tmp_path_factory.mktemp("photographs")
    for file in sorted(samples.photographs().glob("*/*.jpg"))[:4]:
        (folder / file.parent.name).mkdir(exist_ok=True)
        shutil.copy(file, folder / file.parent.name)
    (folder / "broken.jpg").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights, in timm's layout."""
    import timm
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    network = timm.create_model("test_resnet", num_classes=3)
    timm.models.save_for_hf(
        network, str(folder), model_config={"label_names": ["a", "b", "c"]}, safe_serialization=True
    )
    return folder


# Usage


def test_help_and_usage(brightspark: Run) -> None:
    assert brightspark("--help")[0] == 0
    code, said, _ = brightspark("vision", "--help")
    assert code == 0
    for command in ("score", "evaluate", "explain"):
        assert command in said
    for wrong in (["none"], ["vision", "none"], ["vision", "score"], ["vision", "score", "m", "i", "--outt", "x"],
                  ["vision", "score", "m", "i", "--out", "o", "--top-k", "many"],
                  ["vision", "score", "m", "i", "--out", "o", "--max-error-rate", "0.1"]):  # fmt: skip
        code, _, said = brightspark(*wrong)
        assert code == 2, wrong
        assert "Usage" in said


def test_an_unknown_solution_to_convert_for_is_wrong_usage(brightspark: Run, tmp_path: Path) -> None:
    code, _, said = brightspark("convert", "x.pth", "--model", "m", "--out", tmp_path / "o", "--solution", "visoin")
    assert code == 2
    assert "vision" in said


@pytest.mark.slow
def test_convert_fails_with_a_reason(brightspark: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, _, said = brightspark("convert", tmp_path / "gone.pth", "--model", "resnet81", "--out", out)
    assert code == 1
    assert "did you mean" in said
    code, _, said = brightspark("convert", tmp_path / "gone.pth", "--model", "resnet18", "--out", out)
    assert code == 1
    assert "No such file" in said
    assert not out.exists()


# Work


@pytest.mark.slow
def test_score_writes_every_row_and_nothing_twice(
    spark: SparkSession, brightspark: Run, photographs: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, said, _ = brightspark("vision", "score", tiny, photographs, "--out", out, "--top-k", 2, "--json")
    assert code == 0
    numbers = json.loads(said)
    assert (numbers["records"], numbers["errors"], numbers["out"]) == (5, 1, str(out))
    answers = spark.read.parquet(str(out))
    assert {"path", "label", "prediction", "probability", "top", "error"} <= set(answers.columns)
    assert answers.count() == 5
    assert answers.filter("error is null and prediction in ('a', 'b', 'c')").count() == 4

    before = sorted(file.name for file in out.iterdir())
    code, _, said = brightspark("vision", "score", tiny, photographs, "--out", out)
    assert code == 1
    assert "exists already" in said
    assert "overwrite" in said
    assert sorted(file.name for file in out.iterdir()) == before
    code, said, _ = brightspark("vision", "score", tiny, photographs, "--out", out, "--overwrite")
    assert code == 0
    assert "5 records, 1 errors" in said
    assert "top" not in spark.read.parquet(str(out)).columns


@pytest.mark.slow
def test_fit_makes_an_artifact_that_scores(
    spark: SparkSession, brightspark: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_coloured(tmp_path / "pictures", 20)
    small = [text for name in ("pretrained=false", "image_size=32", "loader_workers=0") for text in ("--set", name)]
    start = ["vision", "fit", "pictures", "--model", "test_resnet", "--out", "model", "--epochs", 2, *small]
    code, said, told = brightspark(*start)
    assert code == 0, told
    assert "3 labels, in model" in said
    assert "epoch 2: loss" in told
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "README.md", "brightspark.json", "config.json", "model.safetensors"
    ]  # fmt: skip
    assert not (tmp_path / "model.training").exists()
    code, _, told = brightspark(*start)
    assert code == 1
    assert "exists already" in told
    assert brightspark("vision", "score", "model", "pictures", "--out", tmp_path / "answers", "--json")[0] == 0
    assert spark.read.parquet(str(tmp_path / "answers")).filter("error is null").count() == 60


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--set", "hflip"], "write NAME=VALUE"),
        (["--set", "hflop=1"], "did you mean 'hflip'"),
        (["--set", "hflip=often"], "hflip='often' cannot be"),
        (["--epochs", "0"], "epochs=0 must be at least 1"),
        (["--out", "s3://bucket/model"], "--run-folder is needed"),
    ],
)
def test_fit_refuses_settings_that_cannot_be(
    brightspark: Run, tiny: Path, tmp_path: Path, options: list[str], reason: str
) -> None:
    code, _, told = brightspark("vision", "fit", tmp_path, "--model", tiny, "--out", tmp_path / "model", *options)
    assert code == 2
    assert reason in " ".join(told.replace("│", " ").split())


@pytest.mark.parametrize("options", ["--out {images}", "--out {around}", "--out {new} --quarantine {images}/../images"])
def test_the_images_are_never_overwritten(
    spark: SparkSession, brightspark: Run, tiny: Path, tmp_path: Path, options: str
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(b"mine")
    given = options.format(images=images, around=tmp_path, new=tmp_path / "new").split()
    code, _, said = brightspark("vision", "score", tiny, images, *given, "--overwrite")
    assert code == 1
    assert f"holds {images}" in said
    assert (images / "a.jpg").read_bytes() == b"mine"


def test_an_empty_folder_is_scored(spark: SparkSession, brightspark: Run, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, said, hint = brightspark("vision", "score", tiny, tmp_path / "empty", "--out", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(said)["records"] == 0
    assert f"no image was found in {tmp_path / 'empty'}" in hint
    assert "read_video" in hint
    assert spark.read.parquet(str(tmp_path / "out")).count() == 0


@pytest.mark.slow
def test_failed_rows_go_to_quarantine(
    spark: SparkSession, brightspark: Run, photographs: Path, tiny: Path, tmp_path: Path
) -> None:
    out, bad = tmp_path / "out", tmp_path / "bad"
    command: list[Any] = ["vision", "score", tiny, photographs, "--out", out, "--quarantine", bad]
    code, _, said = brightspark(*command)
    assert code == 1
    assert "1 of 5 rows failed" in said
    assert not out.exists()
    code, said, _ = brightspark(*command, "--max-error-rate", 0.5, "--json")
    assert code == 0
    assert json.loads(said) == {"rows": 5, "errors": 1, "out": str(out), "quarantine": str(bad)}
    assert (spark.read.parquet(str(out)).count(), spark.read.parquet(str(bad)).count()) == (4, 1)


@pytest.mark.slow
def test_explain_writes_a_heat_map_for_every_row(
    spark: SparkSession, brightspark: Run, photographs: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, said, _ = brightspark("vision", "explain", tiny, photographs, "--out", out, "--json")
    assert code == 0
    numbers = json.loads(said)
    assert (numbers["records"], numbers["errors"], numbers["out"]) == (5, 1, str(out))
    rows = spark.read.parquet(str(out))
    assert rows.filter("explain_error is null and explained in ('a', 'b', 'c') and heat_map is not null").count() == 4
    assert rows.filter("explain_error is not null and explained is null and heat_map is null").count() == 1

    code, _, said = brightspark("vision", "explain", tiny, photographs, "--out", out)
    assert code == 1
    assert "exists already" in said
    asked = ("--label", "label", "--no-overlay", "--overwrite")  # the folders' names, which the model does not know
    code, said, _ = brightspark("vision", "explain", tiny, photographs, "--out", out, *asked)
    assert code == 0
    assert "5 records, 5 errors" in said
    code, _, said = brightspark("vision", "explain", tiny, photographs, "--out", photographs, "--overwrite")
    assert code == 1
    assert f"holds {photographs}" in said


@pytest.mark.slow
def test_evaluate_measures_a_table(spark: SparkSession, brightspark: Run, tmp_path: Path) -> None:
    rows = [("cat", "cat", [0.9, 0.1], None), ("dog", "cat", [0.6, 0.4], None), ("dog", "dog", [0.2, 0.8], None)]
    table = spark.createDataFrame(rows, "label string, prediction string, probability array<float>, error string")
    from pyspark.sql import functions as F

    labels = {"brightspark": {"labels": ["cat", "dog"]}}
    for name in ("prediction", "probability"):
        table = table.withColumn(name, F.col(name).alias(name, metadata=labels))
    table.write.parquet(str(tmp_path / "table"))
    code, said, _ = brightspark("vision", "evaluate", tmp_path / "table", "--json")
    assert code == 0
    assert json.loads(said)["accuracy"] == pytest.approx(2 / 3)
    code, said, _ = brightspark("vision", "evaluate", tmp_path / "table")
    assert code == 0
    assert "0.6667" in said
    code, _, said = brightspark("vision", "evaluate", tmp_path / "table", "--label", "labell")
    assert code == 1
    assert "did you mean 'label'" in said


def test_tables_by_the_name_of_their_format(
    spark: SparkSession, brightspark: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by a path from here, where Spark's server may stand elsewhere."""
    monkeypatch.chdir(tmp_path)
    Path("photographs").write_text(json.dumps({"path": "gone.jpg", "label": "a"}) + "\n")
    code, said, _ = brightspark("vision", "score", tiny, "photographs", "--format", "json",
                                "--out", tmp_path / "out", "--json")  # fmt: skip
    assert code == 0
    assert json.loads(said)["records"] == 1
    (row,) = spark.read.parquet(str(tmp_path / "out")).collect()
    assert (row["path"], row["label"]) == (str(tmp_path / "gone.jpg"), "a")
    code, _, said = brightspark("vision", "evaluate", "out", "--format", "orc")
    assert code == 1
    assert "ORC" in said
    code, said, _ = brightspark("vision", "evaluate", "out", "--format", "parquet", "--json")
    assert code == 0
    assert json.loads(said)["counts"]["failed"] == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["score", "{tiny}", "{tmp}/gone", "--out", "{tmp}/out"], "there is no folder"),
        (["score", "{tiny}", "{tmp}/notes.txt", "--out", "{tmp}/out"], "is a file, not a folder"),
        (["score", "{tiny}", "{tmp}/table.csv", "--out", "{tmp}/out"], "neither a column 'path' nor 'content'"),
        (["score", "{tiny}", "http://host/x", "--out", "{tmp}/out"], "'http'"),
        (["score", "resnet81", "{tmp}", "--out", "{tmp}/out"], "did you mean"),
        (["score", "{tmp}", "{tmp}", "--out", "{tmp}/out"], "no model.safetensors"),
        (["score", "samples:efficientnet", "{tmp}", "--out", "{tmp}/out"], "did you mean 'efficientnet-lite0'"),
        (["explain", "{tiny}", "{tmp}/table.csv", "--out", "{tmp}/out"], "neither a column 'path' nor 'content'"),
        (["explain", "{tiny}", "{tmp}/paths.csv", "--out", "{tmp}/out", "--label", "labell"], "did you mean 'label'"),
        (["evaluate", "{tmp}/gone"], "does not look like a table"),
        (["evaluate", "{tmp}/gone.parquet"], "PATH_NOT_FOUND"),
        (["evaluate", "{tmp}/table.csv"], "no column"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    spark: SparkSession, brightspark: Run, tiny: Path, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "table.csv").write_text("image,x\na.jpg,1\n")
    (tmp_path / "paths.csv").write_text("path,label\na.jpg,a\n")
    code, out, said = brightspark("vision", *[argument.format(tiny=tiny, tmp=tmp_path) for argument in arguments])
    assert code == 1
    assert reason in said
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1, said
    assert out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.samples
def test_the_real_thing_from_photographs_to_accuracy(photographs: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK", "PYSPARK"))}

    def run(*command: object) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", *map(str, command), "--json"],
            capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    model = "samples:efficientnet-lite0"
    # Relative paths, as a person at a shell writes them.
    (tmp_path / "photographs").symlink_to(photographs)
    numbers = run("brightspark", "vision", "score", model, "photographs", "--out", "answers")
    assert (numbers["records"], numbers["errors"]) == (5, 1)
    report = run("brightspark.vision", "evaluate", "answers")
    assert report["accuracy"] >= 0.75
