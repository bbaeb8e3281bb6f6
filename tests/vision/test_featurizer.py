"""ImageFeaturizer: timm's own pooled features, from any network, as vectors that Spark ML learns from."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import VectorUDT
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_model_data_config

from brightspark.core.artifact import writing
from brightspark.core.errors import ArtifactError, InputError, ModelError, SettingError
from brightspark.core.features import FeaturePipeline
from brightspark.core.testing import Answer, SolutionContract
from brightspark.vision import ImageClassifierModel, ImageFeaturizer
from tests.vision.networks import configure, open_picture, plain_timm, save_network
from tests.vision.pictures import picture, save_pictures

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Weights = dict[str, torch.Tensor]


def plain_features(folder: Path, pictures: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
    """The pooled features of each picture, one by one, as timm's own documentation computes them."""
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(network), is_training=False)
    with torch.inference_mode():
        batches = [transform(picture.convert("RGB")).unsqueeze(0) for picture in pictures]
        rows = [network.forward_head(network.forward_features(batch), pre_logits=True)[0] for batch in batches]
    return torch.stack(rows).numpy()


def featurized(model: ImageFeaturizer, images: Sequence[Image.Image]) -> list[Any]:
    """Features, or the error, of each image, by the engine without Spark."""
    outcomes = next(iter(model.scorer().score([[{"content": png(image)} for image in images]])))
    return [outcome.error or outcome.answer["features"] for outcome in outcomes]


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def change_weights(folder: Path, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Path:
    weights: Weights = load_file(folder / "model.safetensors")
    save_file({name: change(name, value) for name, value in weights.items()}, folder / "model.safetensors")
    return folder


@pytest.mark.slow
class TestContract(SolutionContract):
    no_estimator = "it learns nothing: FeaturePipeline is the estimator over it"

    def model(self, folder: Path) -> ImageFeaturizer:
        self.folder = save_network(folder / "test_efficientnet")
        return ImageFeaturizer.pretrained(str(self.folder), precision="float32")

    def records(self, folder: Path) -> list[dict[str, Any]]:
        return [{"path": path} for path in save_pictures(folder, 210)]

    def broken(self, folder: Path) -> list[dict[str, Any]]:
        (whole,) = save_pictures(folder, 1, first_seed=1000)
        truncated, text, empty = (folder / name for name in ("truncated.jpg", "text.jpg", "empty.jpg"))
        truncated.write_bytes(Path(whole).read_bytes()[:500])
        text.write_text("this is no image")
        empty.write_bytes(b"")
        return [{"path": str(path)} for path in (truncated, text, empty)]

    def reference(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        rows = plain_features(self.folder, [open_picture(record["path"]) for record in records])
        return [("", list(row)) for row in rows]

    def answer(self, row: Any) -> Answer:
        return "", row["features"].toArray()


class TestNetworks:
    @pytest.mark.parametrize(
        "architecture",
        ["test_resnet", "test_vit", "mobilenetv3_small_050"]
        + [pytest.param(name, marks=pytest.mark.slow) for name in ("test_convnext", "test_efficientnet")],
    )
    def test_features_are_timms_with_a_classifier_and_without(self, architecture: str, tmp_path: Path) -> None:
        torch.manual_seed(0)
        bare = tmp_path / "bare"
        timm.models.save_for_hf(timm.create_model(architecture, num_classes=0), str(bare), safe_serialization=True)
        pictures = [picture(seed) for seed in range(3)]
        for folder in (bare, save_network(tmp_path / "classifier", architecture, config={})):
            answers = featurized(ImageFeaturizer.pretrained(str(folder), precision="float32"), pictures)
            wanted = plain_features(folder, pictures)
            assert wanted.std(axis=0).max() > 1e-3, "the pictures look the same to this network"
            np.testing.assert_allclose(np.stack(answers), wanted, atol=1e-4)

    def test_a_network_that_does_not_pool_is_refused(self, tmp_path: Path) -> None:
        network = timm.create_model("test_resnet", num_classes=0, global_pool="")
        config = {"num_classes": 0, "global_pool": ""}
        timm.models.save_for_hf(network, str(tmp_path), model_config=config, safe_serialization=True)
        configure(tmp_path, {}, global_pool="", model_args={"global_pool": ""})
        with pytest.raises(ArtifactError, match=r"of shape \(\d+, \d+, \d+\), not pooled.*global_pool"):
            ImageFeaturizer.pretrained(str(tmp_path))

    def test_a_network_without_numbers_fails_the_task(self, tmp_path: Path) -> None:
        def nan(name: str, value: torch.Tensor) -> torch.Tensor:
            return torch.full_like(value, torch.nan) if value.is_floating_point() else value

        folder = change_weights(save_network(tmp_path / "model"), nan)
        with pytest.raises(ModelError, match="not finite numbers"):
            featurized(ImageFeaturizer.pretrained(str(folder)), [picture(seed) for seed in range(3)])

    def test_an_image_whose_features_overflow_fails_alone(self, tmp_path: Path) -> None:
        folder = save_network(tmp_path / "model", config={"mean": [0, 0, 0], "std": [1, 1, 1]})
        change_weights(folder, lambda name, value: value * 1e38 if name == "conv_stem.weight" else value)
        black, white = (Image.new("RGB", (64, 64), colour) for colour in ("black", "white"))
        model = ImageFeaturizer.pretrained(str(folder), precision="float32")
        dark, bright, dark_too = featurized(model, [black, white, black])
        assert bright == "ArithmeticError: the network's features are not finite numbers"
        np.testing.assert_array_equal(dark, dark_too)

    def test_a_network_of_zeros_gives_the_same_features_to_all(self, tmp_path: Path) -> None:
        folder = change_weights(save_network(tmp_path / "model"), lambda name, value: torch.zeros_like(value))
        first, second = featurized(ImageFeaturizer.pretrained(str(folder)), [picture(0), picture(1)])
        np.testing.assert_array_equal(first, second)


class TestArtifacts:
    def test_a_saved_featurizer_is_told_from_a_classifier(self, network: Path, tmp_path: Path) -> None:
        ImageFeaturizer.pretrained(str(network), features_col="deep", batch_size=3).save(str(tmp_path / "saved"))
        for loaded in (ImageFeaturizer.load(str(tmp_path / "saved")), ImageFeaturizer.pretrained(f"{tmp_path}/saved")):
            assert (loaded.settings.features_col, loaded.settings.batch_size, loaded.labels) == ("deep", 3, ())
        with pytest.raises(ArtifactError, match="'image-featurizer', not a 'image-classifier'"):
            ImageClassifierModel.pretrained(str(tmp_path / "saved"))

    def test_over_the_artifact_of_a_classifier(self, network: Path, tmp_path: Path) -> None:
        classifier = ImageClassifierModel.pretrained(str(network), top_k=2, input_col="photo", precision="float32")
        classifier.save(str(tmp_path / "classifier"))
        model = ImageFeaturizer.pretrained(str(tmp_path / "classifier"))
        assert (model.settings.input_col, model.artifact.kind, model.labels) == ("photo", "image-featurizer", ())
        np.testing.assert_allclose(featurized(model, [picture(0)]), plain_features(network, [picture(0)]), atol=1e-4)
        with pytest.raises(ArtifactError, match="'image-classifier', not a 'image-featurizer'"):
            ImageFeaturizer.load(str(tmp_path / "classifier"))

    def test_an_artifact_without_a_network_over_images_is_refused(self, tmp_path: Path) -> None:
        with writing(tmp_path / "texts", kind="text-classifier") as made:
            (made / "config.json").write_text("{}")
        with pytest.raises(ArtifactError, match="'text-classifier': it has no network over images"):
            ImageFeaturizer.pretrained(str(tmp_path / "texts"))

    def test_answer_columns_must_differ(self, network: Path) -> None:
        with pytest.raises(SettingError, match="same name"):
            ImageFeaturizer.pretrained(str(network), features_col="error")


class TestOnSpark:
    def test_a_featurizer_and_a_classifier_over_the_same_weights(
        self, network: Path, spark: SparkSession, tmp_path: Path
    ) -> None:
        """Each worker holds both, made of the same files; also after the Pipeline was saved and loaded."""
        paths = save_pictures(tmp_path / "pictures", 12)
        both = PipelineModel(
            [
                ImageFeaturizer.pretrained(str(network), precision="float32", error_col="features_error"),
                ImageClassifierModel.pretrained(str(network), precision="float32"),
            ]
        )
        both.write().overwrite().save(str(tmp_path / "both"))
        pictures = [open_picture(path) for path in paths]
        table = spark.createDataFrame([(path,) for path in paths], "path string").repartition(2)
        for model in (both, PipelineModel.load(str(tmp_path / "both"))):
            rows = model.transform(table).orderBy("path").collect()
            np.testing.assert_allclose(
                [row["features"].toArray() for row in rows], plain_features(network, pictures), atol=1e-4
            )
            np.testing.assert_allclose([row["probability"] for row in rows], plain_timm(network, pictures), atol=1e-4)

    def test_features_are_a_vector_of_its_model(self, network: Path, spark: SparkSession) -> None:
        model = ImageFeaturizer.pretrained(str(network), features_col="deep.features", error_col="deep.error")
        rows = [(png(picture(0)),), (b"no image",), (None,)]
        scored = model.transform(spark.createDataFrame(rows, "content binary"))
        field = scored.schema["deep.features"]
        assert isinstance(field.dataType, VectorUDT)
        assert field.metadata["brightspark"]["model"] == model.artifact.digest
        answers = [(row["deep.features"], row["deep.error"]) for row in scored.collect()]
        assert [features is None or features.size for features, _ in answers] == [256, True, True]
        assert [error is None for _, error in answers] == [True, False, False]

    def test_a_column_of_the_features_name_is_refused(self, network: Path, spark: SparkSession) -> None:
        table = spark.createDataFrame([("a.png", 1)], "path string, features int")
        with pytest.raises(InputError, match=r"'features' already; .*features_col='features_2'"):
            ImageFeaturizer.pretrained(str(network)).transform(table)

    def test_spark_learns_from_images_some_of_which_are_broken(
        self, network: Path, spark: SparkSession, tmp_path: Path
    ) -> None:
        """Light pictures and dark ones, and one that is no image, through learning, saving, loading, answering."""
        rows = [(png(Image.new("RGB", (64, 64), (shade,) * 3)), float(shade > 128)) for shade in range(0, 256, 8)]
        table = spark.createDataFrame([*rows, (b"no image", 0.0)], "content binary, light double").repartition(2)
        learner = LogisticRegression(labelCol="light", maxIter=50)
        model = FeaturePipeline(ImageFeaturizer.pretrained(str(network)), learner).fit(table)
        model.write().overwrite().save(str(tmp_path / "model"))
        for fitted in (model, PipelineModel.load(str(tmp_path / "model"))):
            answers = fitted.transform(table).collect()
            right = [row["prediction"] == row["light"] for row in answers if row["error"] is None]
            assert len(right) == len(rows)
            assert np.mean(right) > 0.9
            (failed,) = [row for row in answers if row["error"] is not None]
            assert (failed["features"], failed["probability"], failed["prediction"]) == (None, None, None)

    @pytest.mark.slow
    def test_a_plain_pipeline_learns_the_same(self, network: Path, spark: SparkSession, tmp_path: Path) -> None:
        rows = [(path, float(index % 2)) for index, path in enumerate(save_pictures(tmp_path, 40))]
        table = spark.createDataFrame(rows, "path string, label double").repartition(2)
        featurizer = ImageFeaturizer.pretrained(str(network), precision="float32")
        plain = Pipeline(stages=[featurizer, LogisticRegression(regParam=0.1)]).fit(table)
        once = FeaturePipeline(featurizer, LogisticRegression(regParam=0.1)).fit(table)
        wanted = plain.stages[1].coefficients.toArray()
        np.testing.assert_allclose(once.stages[2].coefficients.toArray(), wanted, rtol=1e-3, atol=1e-6)
