"""Answers are plain timm's own, whatever the preprocessing and the image's shape; columns are as settings say."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from brightspark.core.errors import ArtifactError, InputError, ModelError, SettingError
from brightspark.core.feed import Room
from brightspark.core.predictor import Work
from brightspark.vision import ImageClassifierModel, ImageSettings, evaluate
from brightspark.vision.predictor import load
from tests.vision.networks import LABELS, open_picture, plain_timm, save_network
from tests.vision.pictures import picture, save_pictures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TOLERANCE = 1e-4
SIZES = [(31, 47), (64, 64), (200, 50), (50, 200), (97, 96), (400, 300), (5, 9), (65, 63), (120, 121), (33, 330)]
FORMS = [("RGB", "jpg"), ("L", "png"), ("RGBA", "png"), ("P", "bmp"), ("RGB", "webp"), ("CMYK", "jpg"), ("LA", "png"),
         ("1", "png"), ("L", "jpg"), ("RGBA", "webp"), ("RGB", "bmp"), ("P", "png"), ("RGB", "png")]  # fmt: skip

SHAPES: dict[str, dict[str, Any]] = {
    "crop 0.875": {"crop_pct": 0.875},
    "crop 1.0": {"crop_pct": 1.0},
    "squash": {"crop_mode": "squash", "crop_pct": 0.9},
    "border": {"crop_mode": "border", "crop_pct": 0.95},
    "wide": {"input_size": [3, 48, 80], "crop_pct": 0.875},
    "tall and squashed": {"input_size": [3, 80, 48], "crop_mode": "squash", "crop_pct": 1.0},
    "wide with a border": {"input_size": [3, 48, 80], "crop_mode": "border", "crop_pct": 1.0},
    "bilinear": {"interpolation": "bilinear"},
    "nearest": {"interpolation": "nearest"},
    "other mean": {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.2]},
}
LIKE_OTHERS = ("crop 1.0", "wide", "tall and squashed", "bilinear")  # slow tests: each is in another shape already


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Paths of 40 images of many sizes, aspects, modes and formats."""
    folder = tmp_path_factory.mktemp("gallery")
    paths = []
    for seed in range(40):
        mode, suffix = FORMS[seed % len(FORMS)]
        paths.append(str(folder / f"{seed:02d} {mode}.{suffix}"))
        picture(seed, SIZES[seed % len(SIZES)], mode).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def model(network: Path) -> ImageClassifierModel:
    return ImageClassifierModel.pretrained(str(network), precision="float32")


def scores(model: ImageClassifierModel, paths: Sequence[str]) -> list[dict[str, Any]]:
    """The engine's answers without Spark."""
    (outcomes,) = model.scorer().score([[{"path": path} for path in paths]])
    assert [outcome.error for outcome in outcomes] == [None] * len(paths)
    return [outcome.answer for outcome in outcomes]


def assert_plain(folder: Path, paths: Sequence[str], answers: Sequence[Any], labels: Sequence[str] = LABELS) -> None:
    """Probabilities are plain timm's, and so is the label wherever the two likeliest are apart."""
    wanted = plain_timm(folder, [open_picture(path) for path in paths])
    np.testing.assert_allclose([answer["probability"] for answer in answers], wanted, atol=TOLERANCE, rtol=0)
    margin = np.diff(np.sort(wanted, axis=1)[:, -2:], axis=1)[:, 0]
    assert (margin > TOLERANCE).sum() > len(paths) / 2
    for answer, row, apart in zip(answers, wanted, margin > TOLERANCE, strict=True):
        assert not apart or answer["prediction"] == labels[int(row.argmax())]


def columns(rows: Sequence[Any], *names: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in names) for row in rows), key=repr)


class TestPreprocessing:
    """Size, crop, interpolation, mean and std are the model's own."""

    @pytest.mark.parametrize(
        "shape", [pytest.param(name, marks=pytest.mark.slow if name in LIKE_OTHERS else ()) for name in SHAPES]
    )
    def test_every_shape_is_timms(self, shape: str, tmp_path: Path, gallery: list[str]) -> None:
        folder = save_network(tmp_path / "model", config={"input_size": [3, 64, 64], **SHAPES[shape]})
        model = ImageClassifierModel.pretrained(str(folder), precision="float32")
        assert_plain(folder, gallery, scores(model, gallery))

    @pytest.mark.filterwarnings("ignore:Pretrained .* does not match 1 channels")
    def test_a_network_of_one_channel_sees_grey(self, tmp_path: Path, gallery: list[str]) -> None:
        folder = save_network(tmp_path / "model", in_chans=1, config={"input_size": [1, 64, 64]})
        model = ImageClassifierModel.pretrained(str(folder), precision="float32")
        assert_plain(folder, gallery, scores(model, gallery))

    @pytest.mark.filterwarnings("ignore:Pretrained .* does not match 4 channels")
    def test_a_network_of_four_channels_is_refused(self, tmp_path: Path) -> None:
        folder = save_network(tmp_path / "model", in_chans=4, config={"input_size": [4, 64, 64]})
        with pytest.raises(ArtifactError, match="4 channels"):
            ImageClassifierModel.pretrained(str(folder)).scorer()

    def test_a_batch_larger_than_the_images_changes_nothing(self, network: Path, gallery: list[str]) -> None:
        for size in (1, 7, 1000):
            model = ImageClassifierModel.pretrained(str(network), precision="float32", batch_size=size)
            assert_plain(network, gallery, scores(model, gallery))

    def test_a_turned_photograph_is_seen_upright(self, network: Path, model: Any, tmp_path: Path) -> None:
        upright = picture(3, (60, 44))
        turns = {3: 2, 6: 1, 8: 3}  # EXIF orientation: quarter turns to the left that were stored
        paths = [str(tmp_path / "upright.png")]
        upright.save(paths[0])
        for orientation, quarters in turns.items():
            stored = upright.rotate(90 * quarters, expand=True)
            exif = stored.getexif()
            exif[0x0112] = orientation
            paths.append(str(tmp_path / f"{orientation}.png"))
            stored.save(paths[-1], exif=exif)
        answers = scores(model, paths)
        assert_plain(network, paths[:1], answers[:1])
        for turned in answers[1:]:
            np.testing.assert_array_equal(turned["probability"], answers[0]["probability"])


class TestColumns:
    """What `transform` adds, and what it is called."""

    def test_rows_and_columns_stay(self, spark: SparkSession, model: Any, network: Path, gallery: list[str]) -> None:
        frame = spark.createDataFrame(list(enumerate(gallery)), "`the id` int, path string").repartition(3)
        scored = model.transform(frame)
        assert scored.columns == ["the id", "path", "prediction", "probability", "error"]
        rows = sorted(scored.collect())
        assert [row["path"] for row in rows] == gallery
        assert_plain(network, gallery, rows)

    def test_content_gives_the_same_as_paths(self, spark: SparkSession, model: Any, gallery: list[str]) -> None:
        paths = spark.createDataFrame([(path,) for path in gallery], "path string")
        content = spark.createDataFrame(
            [(path, Path(path).read_bytes()) for path in gallery], "path string, content binary"
        )
        names = ("path", "prediction", "probability", "error")
        assert columns(model.transform(content).collect(), *names) == columns(model.transform(paths).collect(), *names)

    def test_top_k(self, spark: SparkSession, network: Path, gallery: list[str]) -> None:
        model = ImageClassifierModel.pretrained(str(network), precision="float32", top_k=3)
        frame = spark.createDataFrame([(path,) for path in gallery], "path string")
        scored = model.transform(frame)
        assert scored.columns == ["path", "prediction", "probability", "top", "error"]
        for row in scored.collect():
            best = np.argsort(-np.array(row["probability"]), kind="stable")[:3]
            assert [entry["label"] for entry in row["top"]] == [LABELS[index] for index in best]
            assert [entry["probability"] for entry in row["top"]] == [row["probability"][index] for index in best]
            assert row["top"][0]["label"] == row["prediction"]

    def test_top_k_above_the_number_of_labels_gives_them_all(self, network: Path, gallery: list[str]) -> None:
        model = ImageClassifierModel.pretrained(str(network), top_k=100)
        assert {len(answer["top"]) for answer in scores(model, gallery[:3])} == {len(LABELS)}

    @pytest.mark.slow
    def test_two_models_in_one_pipeline(
        self, spark: SparkSession, model: Any, network: Path, gallery: list[str], tmp_path: Path
    ) -> None:
        from pyspark.ml import Pipeline

        other_labels = LABELS[::-1]
        other = save_network(tmp_path / "other", seed=1, labels=other_labels)
        named = {name: f"other {name}" for name in ("prediction", "probability", "error")}
        second = ImageClassifierModel.pretrained(
            str(other), precision="float32", **{f"{name}_col": column for name, column in named.items()}
        )
        frame = spark.createDataFrame([(path,) for path in gallery], "path string")
        scored = Pipeline(stages=[model, second]).fit(frame).transform(frame)
        assert scored.columns == ["path", "prediction", "probability", "error", *named.values()]
        rows = scored.collect()
        paths = [row["path"] for row in rows]
        assert_plain(network, paths, rows)
        answers = [{name: row[column] for name, column in named.items()} for row in rows]
        assert_plain(other, paths, answers, other_labels)

    def test_an_existing_column_is_refused(self, spark: SparkSession, network: Path) -> None:
        frame = spark.createDataFrame([("a.jpg", "b")], "path string, prediction string")
        with pytest.raises(InputError, match="'prediction' already"):
            ImageClassifierModel.pretrained(str(network)).transform(frame)
        model = ImageClassifierModel.pretrained(
            str(network), prediction_col="answer", probability_vector_col="prediction"
        )
        with pytest.raises(InputError, match="'prediction' already"):
            model.transform(frame)

    def test_two_answers_of_one_name_are_refused(self, network: Path) -> None:
        with pytest.raises(SettingError, match="same name"):
            ImageClassifierModel.pretrained(str(network), prediction_col="error")

    def test_input_col(self, spark: SparkSession, network: Path, gallery: list[str]) -> None:
        rows = [(path, "/nowhere", bytearray(b"none")) for path in gallery[:5]]
        frame = spark.createDataFrame(rows, "`my.images` string, path string, content binary")
        model = ImageClassifierModel.pretrained(str(network), precision="float32", input_col="my.images")
        scored = model.transform(frame).collect()
        assert_plain(network, [row["my.images"] for row in scored], scored)

    def test_a_wrong_input_col_is_named(self, spark: SparkSession, network: Path) -> None:
        frame = spark.createDataFrame([("a.jpg", 1)], "image string, number int")
        with pytest.raises(InputError, match=r"input_col=.*'image'"):
            ImageClassifierModel.pretrained(str(network)).transform(frame)
        with pytest.raises(InputError, match="did you mean 'image'"):
            ImageClassifierModel.pretrained(str(network), input_col="imag").transform(frame)
        with pytest.raises(InputError, match="is integer"):
            ImageClassifierModel.pretrained(str(network), input_col="number").transform(frame)


class TestMeasured:
    """Answers can be measured: by Spark's own evaluators on request, by `evaluate` from the table alone."""

    @pytest.fixture
    def labelled(self, spark: SparkSession, gallery: list[str]) -> DataFrame:
        """The gallery with made-up truths, and one image that is missing."""
        truths = [(path, LABELS[number % 7], float(number % 7)) for number, path in enumerate(gallery)]
        return spark.createDataFrame(
            [*truths, ("/nowhere.jpg", LABELS[0], 0.0)], "path string, label string, truth double"
        )

    def test_sparks_own_evaluators_are_served(self, labelled: DataFrame, network: Path, gallery: list[str]) -> None:
        from pyspark.ml.evaluation import MulticlassClassificationEvaluator

        model = ImageClassifierModel.pretrained(
            str(network), precision="float32", prediction_index_col="index", probability_vector_col="vector"
        )
        scored = model.transform(labelled)
        assert scored.columns[3:] == ["prediction", "probability", "index", "error", "vector"]
        rows = scored.collect()
        (missing,) = [row for row in rows if row["error"]]
        assert missing["index"] is None and missing["vector"] is None  # noqa: PT018
        answered = scored.filter("error is null")
        wanted = plain_timm(network, [open_picture(path) for path in gallery])
        truth = np.arange(len(gallery)) % 7
        accuracy = MulticlassClassificationEvaluator(labelCol="truth", predictionCol="index", metricName="accuracy")
        assert accuracy.evaluate(answered) == pytest.approx((wanted.argmax(axis=1) == truth).mean())
        loss = MulticlassClassificationEvaluator(
            labelCol="truth", predictionCol="index", probabilityCol="vector", metricName="logLoss"
        )
        own = -np.log(wanted[np.arange(len(gallery)), truth]).mean()
        assert loss.evaluate(answered) == pytest.approx(own, rel=1e-3)

    def test_measure_adds_the_same_columns_as_transform(self, labelled: DataFrame, network: Path) -> None:
        model = ImageClassifierModel.pretrained(
            str(network), prediction_index_col="index", probability_vector_col="vector"
        )
        scored, observation = model.measure(labelled)
        assert scored.columns == model.transform(labelled).columns
        assert len(scored.collect()) == observation.get["records"] == 41
        assert observation.get["errors"] == 1

    @pytest.mark.slow
    def test_evaluate_needs_the_table_only(
        self, spark: SparkSession, labelled: DataFrame, model: Any, network: Path, gallery: list[str], tmp_path: Path
    ) -> None:
        model.transform(labelled).write.parquet(str(tmp_path / "scored"))
        table = spark.read.parquet(str(tmp_path / "scored"))
        for name in ("prediction", "probability"):
            assert table.schema[name].metadata["brightspark"]["labels"] == list(LABELS)
            assert table.schema[name].metadata["brightspark"]["model"] == model.artifact.digest
        wanted = plain_timm(network, [open_picture(path) for path in gallery])
        right = (wanted.argmax(axis=1) == np.arange(len(gallery)) % 7).mean()
        report = evaluate(table, intervals=0)
        assert report.accuracy == pytest.approx(right)
        assert report.to_dict() == evaluate(table, labels=LABELS, intervals=0).to_dict()


def test_a_network_that_gives_no_numbers_fails_the_task(tmp_path: Path) -> None:
    """Not a number is no answer: such a model is broken, and no image is at fault."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = save_network(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    save_file({name: torch.full_like(value, torch.nan) if value.is_floating_point() else value
               for name, value in weights.items()}, folder / "model.safetensors")  # fmt: skip
    scorer = ImageClassifierModel.pretrained(str(folder)).scorer()
    buffer = io.BytesIO()
    picture(0).save(buffer, "PNG")
    with pytest.raises(ModelError, match="not a number"):
        list(scorer.score([[{"content": buffer.getvalue()}] * 8]))


def test_room_is_given_back_before_the_piece_is_taken(network: Path) -> None:
    """A generator that waits with room in its hands could keep every thread from decoding."""
    buffer = io.BytesIO()
    picture(0).save(buffer, "PNG")
    room = Room(1 << 20)
    pieces = load(network, "cpu", ImageSettings()).split({"content": buffer.getvalue()}, Work(_no_paths, room))
    assert next(iter(pieces)).shape == (64, 64, 3)
    assert room.used == 0


def _no_paths(path: str) -> io.BytesIO:
    raise AssertionError(f"nothing was to open {path}")


def test_an_answer_does_not_depend_on_the_order(model: Any, tmp_path: Path) -> None:
    """Sixty images through one scorer, forwards and backwards."""
    paths = save_pictures(tmp_path / "many", 60)
    forward, backward = scores(model, paths), scores(model, paths[::-1])
    np.testing.assert_allclose(
        [answer["probability"] for answer in forward], [answer["probability"] for answer in backward[::-1]], atol=1e-5
    )
