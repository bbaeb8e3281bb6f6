"""`explain` on Spark: every row keeps its place, with a heat map of the label it names, or with a reason."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from pyspark.sql import functions as F

from brightspark.core.errors import ArtifactError, InputError, SettingError
from brightspark.vision import ImageClassifierModel, explain, read_dicom, read_video
from brightspark.vision.explanation import ImageExplainer
from brightspark.vision.grad_cam import PREDICTED, GradCam
from brightspark.vision.heat_map import draw_heat
from brightspark.vision.network import load_network
from brightspark.vision.preprocessing import Preprocessing
from tests.vision.dicom_writing import dicom_bytes, dicom_set
from tests.vision.films import numbered, save_film
from tests.vision.networks import LABELS, SIDE, open_picture, plain_timm, save_network
from tests.vision.pictures import picture, save_pictures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CLOSE = 2  # grey values of 255: what an error of 1e-5 may round to, and the order of summation within a batch


@pytest.fixture(scope="module")
def model(network: Path) -> ImageClassifierModel:
    return ImageClassifierModel.pretrained(str(network), precision="float32")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return save_pictures(tmp_path_factory.mktemp("pictures"), 10)


def wanted_heat(folder: Path, pictures: Sequence[Image.Image], labels: Sequence[str] | None = None) -> list[bytes]:
    """The grey heat map of each picture, made one by one without the engine."""
    network = load_network(folder)
    grad_cam, preprocessing = GradCam(network), Preprocessing.of(network, "cpu")
    maps = []
    for index, image in enumerate(pictures):
        batch = preprocessing.batch([preprocessing.fit(image.convert(preprocessing.mode))])
        wanted = PREDICTED if labels is None else LABELS.index(labels[index])
        maps.append(draw_heat(grad_cam(batch, torch.tensor([wanted]))[1][0].numpy()))
    return maps


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def assert_close(maps: Sequence[bytes], wanted: Sequence[bytes]) -> None:
    """Equal, and not because untrained networks find nothing in most pictures."""
    assert sum(pixels(heat).any() for heat in wanted) > len(wanted) / 3
    for one, other in zip(maps, wanted, strict=True):
        np.testing.assert_allclose(pixels(one), pixels(other), atol=CLOSE, rtol=0)


def table(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    return spark.createDataFrame([(path,) for path in paths], "path string")


class TestRows:
    def test_all_stay_with_a_map_and_the_label_it_explains(
        self, spark: SparkSession, model: Any, network: Path, paths: list[str]
    ) -> None:
        frame = spark.createDataFrame(list(enumerate(paths)), "`the id` int, path string").repartition(3)
        explained = explain(model, frame, overlay=False)
        assert explained.columns == ["the id", "path", "heat_map", "explained", "explain_error"]
        rows = sorted(explained.collect())
        assert [(row["the id"], row["path"], row["explain_error"]) for row in rows] == [
            (index, path, None) for index, path in enumerate(paths)
        ]
        pictures = [open_picture(path) for path in paths]
        likeliest = plain_timm(network, pictures).argmax(axis=1)
        assert len(set(likeliest)) > 2
        assert [row["explained"] for row in rows] == [LABELS[index] for index in likeliest]
        assert_close([row["heat_map"] for row in rows], wanted_heat(network, pictures))

    def test_a_bad_one_gets_its_reason_and_the_others_their_maps(
        self, spark: SparkSession, model: Any, paths: list[str], tmp_path: Path
    ) -> None:
        (tmp_path / "text.jpg").write_text("no picture")
        rows: list[tuple[int, str | None, str | None]] = [
            (0, paths[0], "crane"), (1, paths[1], "craen"), (2, str(tmp_path / "text.jpg"), "crane"),
            (3, str(tmp_path / "gone.jpg"), "crane"), (4, None, "crane"), (5, paths[2], None), (6, paths[3], "ferry"),
        ]  # fmt: skip
        frame = spark.createDataFrame(rows, "id int, path string, kind string").repartition(2)
        found = sorted(explain(model, frame, label_col="kind").collect())
        reasons = [None, "'craen'; did you mean 'crane'", "no image", "gone.jpg", "null", "no label to explain", None]
        for row, (_, path, kind), reason in zip(found, rows, reasons, strict=True):
            assert (row["path"], row["kind"]) == (path, kind)
            if reason is None:
                assert (row["explained"], row["explain_error"]) == (kind, None)
                assert pixels(row["heat_map"]).shape == (SIDE, SIDE, 3)
            else:
                assert (row["explained"], row["heat_map"]) == (None, None)
                assert reason in row["explain_error"]

    def test_no_rows_are_none(self, spark: SparkSession, model: Any) -> None:
        assert explain(model, table(spark, [])).collect() == []

    def test_how_they_are_batched_and_spread_changes_nothing(
        self, spark: SparkSession, network: Path, paths: list[str]
    ) -> None:
        maps = []
        for batch_size, partitions in ((1, 1), (4, 1), (32, 3)):
            model = ImageClassifierModel.pretrained(str(network), batch_size=batch_size)
            rows = explain(model, table(spark, paths).repartition(partitions), overlay=False).orderBy("path").collect()
            maps.append([row["heat_map"] for row in rows])
        assert_close(maps[1], maps[0])
        assert_close(maps[2], maps[0])


class TestLabels:
    def test_a_column_names_what_is_explained(
        self, spark: SparkSession, model: Any, network: Path, paths: list[str]
    ) -> None:
        names = [LABELS[index % len(LABELS)] for index in range(len(paths))]
        frame = spark.createDataFrame(list(zip(paths, names, strict=True)), "path string, `what it is` string")
        rows = explain(model, frame, label_col="what it is", overlay=False).orderBy("path").collect()
        assert [row["explained"] for row in rows] == names
        heat = wanted_heat(network, [open_picture(path) for path in paths], names)
        assert_close([row["heat_map"] for row in rows], heat)

    def test_what_was_predicted_in_another_precision_is_explained_as_it_was(
        self, spark: SparkSession, network: Path, paths: list[str]
    ) -> None:
        model = ImageClassifierModel.pretrained(str(network), precision="bfloat16")
        answers = explain(model, model.transform(table(spark, paths)), label_col="prediction")
        assert answers.columns == [
            "path", "prediction", "probability", "error", "heat_map", "explained", "explain_error"
        ]  # fmt: skip
        rows = answers.collect()
        assert [row["explained"] for row in rows] == [row["prediction"] for row in rows]
        assert all(row["heat_map"] for row in rows)

    @pytest.mark.parametrize(
        ("label_col", "reason"),
        [("labell", "no column 'labell'.*did you mean 'label'"), ("id", "'id' is integer.* is a name")],
    )
    def test_a_column_that_cannot_be_is_refused(
        self, spark: SparkSession, model: Any, label_col: str, reason: str
    ) -> None:
        frame = spark.createDataFrame([("a.jpg", "crane", 1)], "path string, label string, id int")
        with pytest.raises(InputError, match=reason):
            explain(model, frame, label_col=label_col)


class TestPictures:
    def test_bytes_give_the_same_as_paths(self, spark: SparkSession, model: Any, paths: list[str]) -> None:
        rows = [(path, Path(path).read_bytes()) for path in paths]
        content = spark.createDataFrame(rows, "path string, content binary")
        maps = [
            {row["path"]: row["heat_map"] for row in explain(model, frame).collect()}
            for frame in (table(spark, paths), content)
        ]
        assert maps[0] == maps[1]

    def test_heat_is_drawn_over_the_picture_that_the_network_sees(
        self, spark: SparkSession, model: Any, network: Path, tmp_path: Path
    ) -> None:
        """Also where it is much larger than the network's and of another shape."""
        path = str(tmp_path / "wide.png")
        picture(3, (400, 150)).save(path)
        (row,) = explain(model, table(spark, [path])).collect()
        seen = Preprocessing.of(load_network(network), "cpu").fit(open_picture(path))
        heat = pixels(wanted_heat(network, [open_picture(path)])[0])
        grey = np.asarray(Image.fromarray(seen).convert("L"))
        drawn = pixels(row["heat_map"])
        assert drawn.shape == (*grey.shape, 3)
        assert (heat == 0).any()
        np.testing.assert_array_equal(drawn[heat == 0], np.stack([grey[heat == 0]] * 3, axis=1))
        assert (np.ptp(drawn[heat > 128], axis=1) > 40).all()

    def test_frames_of_dicom_files(self, spark: SparkSession, model: Any, network: Path, tmp_path: Path) -> None:
        frames = np.stack([np.asarray(picture(seed, (70, 70), "L")) for seed in range(3)])
        frames[:, 0, :2] = 0, 255  # shown from their lowest to their highest value, they stay what they are
        (tmp_path / "scan.dcm").write_bytes(dicom_bytes(dicom_set(frames, frames=3)))
        rows = explain(model, read_dicom(spark, str(tmp_path), all_frames=True), overlay=False).orderBy("frame")
        pictures = [Image.fromarray(frame) for frame in frames]
        assert_close([row["heat_map"] for row in rows.collect()], wanted_heat(network, pictures))

    def test_moments_of_a_video(self, spark: SparkSession, model: Any, network: Path, tmp_path: Path) -> None:
        """Each map is nearest to that of its own frame: a video's pixels are not quite those it was made of."""
        save_film(tmp_path / "film.mp4", frames=100, rate=25)
        rows = explain(model, read_video(spark, str(tmp_path), every=1.0), overlay=False).orderBy("time").collect()
        assert [row["time"] for row in rows] == [0.0, 1.0, 2.0, 3.0]
        plain = [pixels(heat) for heat in wanted_heat(network, [numbered(number) for number in (0, 25, 50, 75)])]
        for index, row in enumerate(rows):
            distances = [np.abs(pixels(row["heat_map"]) - heat).mean() for heat in plain]
            assert int(np.argmin(distances)) == index
            assert distances[index] < 25

    @pytest.mark.filterwarnings("ignore:Pretrained .* does not match 1 channels")
    def test_a_network_that_sees_grey(self, spark: SparkSession, paths: list[str], tmp_path: Path) -> None:
        folder = save_network(tmp_path / "grey", "test_convnext", in_chans=1, config={"input_size": [1, SIDE, SIDE]})
        model = ImageClassifierModel.pretrained(str(folder))
        rows = explain(model, table(spark, paths), overlay=False).orderBy("path").collect()
        assert_close([row["heat_map"] for row in rows], wanted_heat(folder, [open_picture(path) for path in paths]))
        over = explain(model, table(spark, paths)).collect()
        assert all(pixels(row["heat_map"]).shape == (SIDE, SIDE, 3) for row in over)

    def test_a_transformer(self, spark: SparkSession, paths: list[str], tmp_path: Path) -> None:
        """With random weights: there is no small trained one in the registry."""
        folder = save_network(tmp_path / "vit", "test_vit", config={"input_size": [3, 160, 160]})
        model = ImageClassifierModel.pretrained(str(folder))
        rows = explain(model, table(spark, paths), overlay=False).orderBy("path").collect()
        assert [row["explain_error"] for row in rows] == [None] * len(paths)
        pictures = [open_picture(path) for path in paths]
        assert [row["explained"] for row in rows] == [LABELS[i] for i in plain_timm(folder, pictures).argmax(axis=1)]
        assert_close([row["heat_map"] for row in rows], wanted_heat(folder, pictures))


class TestSettings:
    def test_the_models_own_say_how_images_are_read(self, spark: SparkSession, network: Path, tmp_path: Path) -> None:
        path = str(tmp_path / "photo.png")
        picture(0, (200, 200)).save(path)
        frame = spark.createDataFrame([(path,)], "photo string")
        for max_pixels, error in ((40_000, None), (39_999, "more than the 39,999 that are allowed")):
            model = ImageClassifierModel.pretrained(str(network), input_col="photo", max_pixels=max_pixels)
            (row,) = explain(model, frame).collect()
            assert row["explain_error"] is None if error is None else error in row["explain_error"]

    def test_columns_can_be_named(self, spark: SparkSession, model: Any, paths: list[str]) -> None:
        named = {"heat_map_col": "why.not", "explained_col": "of", "error_col": "failed"}
        explained = explain(model, table(spark, paths), **named)
        assert explained.columns == ["path", "why.not", "of", "failed"]
        assert explained.schema["why.not"].metadata["brightspark"]["model"] == model.artifact.digest
        assert explained.filter(F.col("`why.not`").isNotNull()).count() == len(paths)

    def test_columns_that_exist_or_are_the_same_are_refused(self, spark: SparkSession, model: Any) -> None:
        frame = spark.createDataFrame([("a.jpg", 1)], "path string, heat_map int")
        with pytest.raises(InputError, match=r"'heat_map' already; .*heat_map_col='heat_map_2'"):
            explain(model, frame)
        with pytest.raises(SettingError, match="same name"):
            explain(model, frame, heat_map_col="explained")

    def test_a_network_without_a_layer_to_explain_is_refused_before_any_job(
        self, spark: SparkSession, tmp_path: Path
    ) -> None:
        network = timm.create_model("pit_ti_224", num_classes=3)
        timm.models.save_for_hf(network, str(tmp_path / "pit"), safe_serialization=True)
        model = ImageClassifierModel.pretrained(str(tmp_path / "pit"))
        with pytest.raises(ArtifactError, match="no layer in which the picture still lies in a grid"):
            explain(model, table(spark, ["a.jpg"]))

    def test_other_precisions_are_refused(self, model: Any) -> None:
        with pytest.raises(SettingError, match="'float32'"):
            ImageExplainer.of(model, precision="bfloat16")


def test_one_picture_is_explained_without_spark(model: Any, network: Path, paths: list[str]) -> None:
    outcome = ImageExplainer.of(model, overlay=False).scorer().one({"path": paths[0]})
    assert outcome.error is None
    assert_close([outcome.answer["heat_map"]], wanted_heat(network, [open_picture(paths[0])]))
