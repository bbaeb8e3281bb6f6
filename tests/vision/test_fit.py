"""Fine-tuning from a DataFrame to a model: what it learns, what its artifact says, and what timm makes of it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import functions as F

from brightspark.core.cache import file_lock
from brightspark.core.errors import InputError, SettingError
from brightspark.core.survey import is_held_out
from brightspark.vision import ImageClassifier, ImageClassifierModel, evaluate, read_images
from tests.vision.coloured import COLOURS, LEARNS_COLOURS, coloured, save_coloured
from tests.vision.networks import open_picture, save_network

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SMALL = {**LEARNS_COLOURS, "epochs": 8, "color_jitter": 0.0}

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_coloured(tmp_path_factory.mktemp("pictures"), 60)


@pytest.fixture(scope="module")
def rows(spark: SparkSession, pictures: Path) -> DataFrame:
    return read_images(spark, str(pictures))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def model(rows: DataFrame, run_folder: Path) -> ImageClassifierModel:
    return ImageClassifier("test_resnet", **SMALL, run_folder=str(run_folder)).fit(rows)


def test_it_tells_pictures_that_it_has_not_seen(
    spark: SparkSession, model: ImageClassifierModel, tmp_path: Path
) -> None:
    answered = model.transform(read_images(spark, str(save_coloured(tmp_path, 10, first_seed=1000)))).collect()
    assert model.labels == tuple(COLOURS)
    right = [row["prediction"] == row["label"] for row in answered]
    assert len(right) == 30
    assert sum(right) >= 27


def test_timm_opens_the_artifact_and_answers_the_same(
    spark: SparkSession, model: ImageClassifierModel, pictures: Path, tmp_path: Path
) -> None:
    model.save(str(tmp_path / "artifact"))
    network = timm.create_model(f"local-dir:{tmp_path / 'artifact'}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(network)
    assert config["input_size"] == (3, 32, 32)
    transform = timm.data.create_transform(**config, is_training=False)
    path = str(pictures / "red" / "0003.jpg")
    with torch.inference_mode():
        expected = (network(transform(open_picture(path))[None]) / model.settings.temperature).softmax(dim=1)[0]
    loaded = ImageClassifierModel.pretrained(str(tmp_path / "artifact"), precision="float32")
    (answer,) = loaded.transform(spark.createDataFrame([(path,)], "path string")).collect()
    np.testing.assert_allclose(answer["probability"], expected, atol=1e-5)


def test_the_card_tells_data_settings_metrics_and_limits(model: ImageClassifierModel, tmp_path: Path) -> None:
    model.save(str(tmp_path / "artifact"))
    card = (tmp_path / "artifact" / "README.md").read_text()
    told = model.artifact
    assert told.metrics["accuracy"] > 0.9
    assert told.training["data"] in card
    assert told.training["training_rows"] + told.metrics["validation_rows"] == 180
    assert "| learning_rate | 0.003 |" in card
    assert "group_col keeps such rows together" in card
    assert ImageClassifierModel.load(str(tmp_path / "artifact")).artifact.limits == told.limits


@pytest.mark.parametrize("several", [False, True], ids=["one label", "several labels"])
def test_confidence_is_made_true_on_the_validation_rows(rows: DataFrame, tmp_path: Path, several: bool) -> None:
    """Half of what is not red is called so, in the validation rows too: a network that is sure of itself errs."""
    wrong = F.when(F.col("path").rlike("[02468][.]jpg$"), "red").otherwise(F.col("label"))
    settings = {**SMALL, "validation_share": 0.4, "label_smoothing": 0.0, "run_folder": str(tmp_path)}
    labelled = rows.withColumn("label", F.array(wrong) if several else wrong)
    model = ImageClassifier("test_resnet", **settings).fit(labelled)
    metrics = model.artifact.metrics
    assert model.settings.multi_label == several
    assert model.settings.temperature != 1
    assert metrics["log_loss"] < metrics["log_loss_uncalibrated"]
    assert 0 < metrics["calibration_error"] != metrics["calibration_error_uncalibrated"] > 0
    assert metrics["validation_rows"] > 50
    again = evaluate(model.transform(labelled.filter(is_held_out(["path"], 0.4, ()))), intervals=0)
    assert again.counts.measured == metrics["validation_rows"]
    assert again.log_loss == pytest.approx(metrics["log_loss"], abs=0.02)  # staged smaller, and as JPEG


def test_the_same_fit_again_is_not_done_again(
    rows: DataFrame, run_folder: Path, model: ImageClassifierModel, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    again = ImageClassifier("test_resnet", **SMALL, run_folder=str(run_folder))
    again.watch = seen.append
    assert again.fit(rows).artifact.digest == model.artifact.digest
    assert not seen
    assert len(list(run_folder.iterdir())) == 1


def test_only_the_classifier_learns_where_no_block_does(rows: DataFrame, tmp_path: Path) -> None:
    settings = {**SMALL, "epochs": 1, "trained_blocks": 0, "learning_rate": 0.1, "run_folder": str(tmp_path / "runs")}
    trained = ImageClassifier("test_resnet", **settings).fit(rows)
    (start,) = (tmp_path / "runs").glob("*/network")
    before, after = (
        timm.create_model(f"local-dir:{folder}", pretrained=True).state_dict()
        for folder in (start, trained.artifact.address)
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fc.weight", "fc.bias"}


def test_other_weights_at_the_same_place_make_another_fit(rows: DataFrame, tmp_path: Path) -> None:
    settings = {**SMALL, "epochs": 1, "pretrained": True, "run_folder": str(tmp_path / "runs")}
    place = tmp_path / "current"
    for seed in (0, 1):
        shutil.rmtree(place, ignore_errors=True)
        ImageClassifier(str(save_network(place, seed=seed)), **settings).fit(rows)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_two_fits_at_once_are_what_they_are_one_by_one(rows: DataFrame, tmp_path: Path) -> None:
    def fitted(seed: int, folder: str) -> str:
        settings = {**SMALL, "epochs": 1, "seed": seed, "run_folder": str(tmp_path / folder)}
        return str(ImageClassifier("test_resnet", **settings).fit(rows).artifact.digest)

    alone = [fitted(seed, "alone") for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fitted, (0, 1), ("together", "together"))) == alone


def test_a_grey_network_of_another_size_learns(rows: DataFrame, tmp_path: Path) -> None:
    settings = {**SMALL, "epochs": 1, "model_args": {"in_chans": 1}, "run_folder": str(tmp_path)}
    model = ImageClassifier("test_resnet", **settings).fit(rows)
    assert model.transform(rows.limit(2)).filter("error is null").count() == 2
    network = timm.create_model(f"local-dir:{model.artifact.address}")
    assert timm.data.resolve_model_data_config(network)["input_size"] == (1, 32, 32)


def test_several_labels_are_learned_each_by_itself(spark: SparkSession, tmp_path: Path) -> None:
    """Halves of pictures: a picture has the labels of both its colours, or of one twice, or of a colour and nothing."""
    names = list(COLOURS)
    made = []
    for seed in range(150):
        left, right = names[seed % 3], names[(seed // 3) % 3]
        picture = coloured(left, seed)
        picture.paste(coloured(right, seed + 5000).crop((0, 0, 20, 36)), (20, 0))
        picture.save(tmp_path / f"{seed}.png")
        made.append((str(tmp_path / f"{seed}.png"), sorted({left, right})))
    rows = spark.createDataFrame(made, "path string, label array<string>")
    settings = {**SMALL, "epochs": 15, "hflip": 0.5, "scale": 1.0, "run_folder": str(tmp_path / "runs")}
    model = ImageClassifier("test_resnet", **settings).fit(rows)
    answered = model.transform(rows).collect()
    assert model.settings.multi_label
    exact = sum(sorted(row["prediction"]) == row["label"] for row in answered)
    assert exact >= 0.85 * len(answered)
    assert all(len(row["probability"]) == 3 for row in answered)


def test_it_is_a_stage_of_a_pipeline(spark: SparkSession, rows: DataFrame, tmp_path: Path) -> None:
    stages = [SQLTransformer(statement="SELECT path, label AS kind FROM __THIS__")]
    stages += [ImageClassifier("test_resnet", label_col="kind", **{**SMALL, "epochs": 1, "run_folder": str(tmp_path)})]
    Pipeline(stages=stages).save(str(tmp_path / "pipeline"))
    fitted = Pipeline.load(str(tmp_path / "pipeline")).fit(rows)
    fitted.save(str(tmp_path / "model"))
    few = rows.limit(6)
    answered, again = (
        [row.probability for row in one.transform(few).collect()]
        for one in (fitted, PipelineModel.load(str(tmp_path / "model")))
    )
    np.testing.assert_array_equal(answered, again)
    assert fitted.stages[1].artifact.training["epochs"] == 1


def test_rows_without_a_label_take_no_part_and_a_label_never_seen_is_wrong(rows: DataFrame, tmp_path: Path) -> None:
    blue = F.col("label") == "blue"
    known = rows.withColumn("label", F.when(~blue, F.col("label")))
    model = ImageClassifier("test_resnet", **{**SMALL, "epochs": 1, "run_folder": str(tmp_path)}).fit(known)
    assert model.labels == ("green", "red")
    assert model.artifact.training["training_rows"] + model.artifact.metrics["validation_rows"] == 120
    unlabelled, strange = (evaluate(model.transform(some), intervals=0) for some in (known, rows.filter(blue)))
    assert (unlabelled.counts.measured, unlabelled.counts.unlabelled) == (120, 60)
    assert strange.accuracy == 0
    assert "'blue' (60 rows)" in strange.notes["labels"]


def test_a_fit_leaves_nothing_behind(rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "connect" in type(rows).__module__:
        pytest.skip("on Connect a run_folder must be named, and is kept")
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path))
    killed, running = (tmp_path / "fits" / name for name in ("fit-killed", "fit-running"))
    for other in (killed, running):
        (other / "training").mkdir(parents=True)
    with file_lock(running):
        model = ImageClassifier("test_resnet", **{**SMALL, "epochs": 1}).fit(rows)
        assert {file.name for file in (tmp_path / "fits").iterdir()} == {"fit-running", ".fit-running.lock"}
    assert not [folder for folder in (tmp_path / "shards").iterdir() if not folder.name.startswith(".")]
    assert model.transform(rows.limit(3)).filter("error is null").count() == 3


def test_what_cannot_be_is_refused_before_anything_is_staged(rows: DataFrame, tmp_path: Path) -> None:
    def fit(network: str, df: DataFrame = rows, **settings: Any) -> None:
        ImageClassifier(network, **{**SMALL, "run_folder": str(tmp_path / "runs"), **settings}).fit(df)

    with pytest.raises(InputError, match="name the network"):
        fit("")
    with pytest.raises(InputError, match="resnot"):
        fit("test_resnot")
    with pytest.raises(InputError, match=r"no column 'patient' \(group_col\)"):
        fit("test_resnet", group_col="patient")
    with pytest.raises(InputError, match=r"no column 'kind' \(label_col\)"):
        fit("test_resnet", label_col="kind")
    with pytest.raises(InputError, match="all rows have the label 'red'"):
        fit("test_resnet", rows.filter("label = 'red'"))
    with pytest.raises(InputError, match="none of the 180 rows has a label"):
        fit("test_resnet", rows.withColumn("label", F.lit(None).cast("string")))
    with pytest.raises(InputError, match="must be a path"):
        fit("test_resnet", run_folder="s3://bucket/runs")
    with pytest.raises(SettingError, match="trained_blocks=99"):
        fit("test_resnet", trained_blocks=99)
    with pytest.raises(SettingError, match="there is no training with these settings"):
        fit("test_resnet", auto_augment="more")
    with pytest.raises(SettingError, match="did you mean 'accuracy'"):
        fit("test_resnet", monitor="acuracy")
    with pytest.raises(SettingError, match=r"num_classes.*number of labels"):
        fit("test_resnet", model_args={"num_classes": 3})
    with pytest.raises(SettingError, match="same name: top, probability, error, top"):
        fit("test_resnet", prediction_col="top")
    with pytest.raises(SettingError, match="balance="):
        fit("test_resnet", balance="often")
    assert not list(tmp_path.glob("runs/*/training"))
