"""Which frame a row means: `frame` counts a DICOM's, `time` is seconds into a video, and none is guessed silently."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from brightspark.core.errors import InputError
from brightspark.vision import ImageClassifierModel, read_dicom, read_video
from tests.vision.dicom_writing import dicom_bytes, dicom_set
from tests.vision.films import on_display, plain_frames, save_film
from tests.vision.networks import plain_timm
from tests.vision.pictures import picture

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def model(network: Path) -> ImageClassifierModel:
    return ImageClassifierModel.pretrained(str(network), precision="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM file of three frames, a film of four seconds, and pages of a TIFF."""
    made = tmp_path_factory.mktemp("mixture")
    (made / "archive").mkdir()
    (made / "archive" / "three").write_bytes(dicom_bytes(dicom_set(dicom_frames(), frames=3)))
    save_film(made / "film.mp4")
    picture(1).save(made / "pages.tiff", save_all=True, append_images=[picture(2)])
    picture(1).save(made / "single.png")
    return made


def dicom_frames() -> Any:
    """From 0 to 255, so that they are shown as they are."""
    frames = np.stack([np.asarray(picture(seed, (20, 20), "L")) for seed in range(3)])
    frames[:, 0, :2] = 0, 255
    return frames


def answers(model: ImageClassifierModel, frame: DataFrame) -> list[Any]:
    return [row["probability"] for row in checked(model, frame)]


def checked(model: ImageClassifierModel, frame: DataFrame) -> list[Any]:
    rows = model.transform(frame.coalesce(1)).collect()
    assert [row["error"] for row in rows] == [None] * len(rows)
    return rows


def shown(network: Path, film: Path, *times: float) -> Any:
    return plain_timm(network, [on_display(plain_frames(film), seconds) for seconds in times])


def score(model: ImageClassifierModel, path: Path, **which: Any) -> str | None:
    error: str | None = model.scorer().one({"path": str(path), **which}).error
    return error


class TestTypes:
    @pytest.mark.parametrize("kind", ["decimal(5,2)", "double", "string"])
    def test_a_time(self, kind: str, spark: SparkSession, model: Any, network: Path, folder: Path) -> None:
        rows = spark.createDataFrame([(str(folder / "film.mp4"), 0.5 * n) for n in range(4)], "path string, t double")
        scored = answers(model, rows.selectExpr("path", f"cast(t as {kind}) as time"))
        wanted = shown(network, folder / "film.mp4", 0.0, 0.5, 1.0, 1.5)
        np.testing.assert_allclose(scored, wanted, atol=1e-4)

    @pytest.mark.parametrize("kind", ["decimal(5,2)", "int"])
    def test_a_frame(self, kind: str, spark: SparkSession, model: Any, network: Path, folder: Path) -> None:
        rows = spark.createDataFrame([(str(folder / "archive" / "three"), n) for n in (2, 1)], "path string, n int")
        scored = answers(model, rows.selectExpr("path", f"cast(n as {kind}) as frame"))
        frames = [Image.fromarray(frame) for frame in dicom_frames()[[2, 1]]]
        np.testing.assert_allclose(scored, plain_timm(network, frames), atol=1e-4)

    def test_a_frame_that_is_a_text(self, spark: SparkSession, model: Any) -> None:
        with pytest.raises(InputError, match=r"'frame' is string; .* are a number: cast it, or rename it"):
            model.transform(spark.createDataFrame([("a", "3")], "path string, frame string"))

    def test_a_time_that_is_none(self, model: Any, folder: Path) -> None:
        assert "'time' is '10:30'; " in (score(model, folder / "film.mp4", time="10:30") or "")

    def test_a_date_is_no_moment(self, spark: SparkSession, model: Any, folder: Path) -> None:
        rows = spark.createDataFrame([(str(folder / "single.png"),)], "path string")
        checked(model, rows.selectExpr("path", "current_timestamp() as time"))

    def test_frame_col_of_decimals(self, spark: SparkSession, network: Path, folder: Path) -> None:
        named = ImageClassifierModel.pretrained(str(network), precision="float32", frame_col="second")
        rows = spark.createDataFrame([(str(folder / "film.mp4"),)], "path string")
        scored = answers(named, rows.selectExpr("path", "1.5 as second"))
        np.testing.assert_allclose(scored, shown(network, folder / "film.mp4", 1.5), atol=1e-4)


class TestMixtures:
    def test_each_reader_has_its_own_column(self, spark: SparkSession, model: Any, network: Path, folder: Path) -> None:
        films = read_video(spark, str(folder / "film.mp4"), every=1.5)
        both = read_dicom(spark, str(folder / "archive"), all_frames=True).unionByName(films, allowMissingColumns=True)
        rows = sorted(checked(model, both), key=lambda row: (row["time"] is not None, row["frame"], row["time"]))
        frames = [Image.fromarray(frame) for frame in dicom_frames()]
        moments = [on_display(plain_frames(folder / "film.mp4"), seconds) for seconds in (0.0, 1.5, 3.0)]
        wanted = plain_timm(network, frames + moments)
        np.testing.assert_allclose([row["probability"] for row in rows], wanted, atol=1e-4)

    def test_the_time_of_a_dicom_is_not_its_frame(self, model: Any, folder: Path) -> None:
        """An acquisition's, say."""
        assert score(model, folder / "archive" / "three", time=12.5) is None

    def test_a_frame_of_a_video_is_no_moment(self, model: Any, folder: Path) -> None:
        said = score(model, folder / "film.mp4", frame=3) or ""
        assert "'frame' counts the frames of DICOM files; say when in the video" in said
        assert score(model, folder / "film.mp4", frame=None) is None

    def test_a_page_that_is_not_read(self, model: Any, folder: Path) -> None:
        assert "frame 1 of a TIFF file cannot be read" in (score(model, folder / "pages.tiff", frame=1) or "")
        for frame in (0, None, float("nan")):
            assert score(model, folder / "pages.tiff", frame=frame) is None

    def test_the_frame_that_a_still_was_cut_from(self, model: Any, folder: Path) -> None:
        """It holds one picture only, and no other can be meant."""
        assert score(model, folder / "single.png", frame=12) is None


class TestUnknownLength:
    """A video whose moments could not be listed has a row with a null time: its first frame is no answer."""

    def test_one_that_can_be_read_now(self, model: Any, folder: Path) -> None:
        assert "'time' is null: how long the video is" in (score(model, folder / "film.mp4", time=None) or "")

    def test_one_that_cannot(self, model: Any, folder: Path) -> None:
        assert "there is no file" in (score(model, folder / "lost.mp4", time=None) or "")

    def test_a_video_alone_is_its_first_frame(self, model: Any, folder: Path) -> None:
        assert score(model, folder / "film.mp4") is None


class TestPictures:
    def test_a_caption_is_no_picture(self, spark: SparkSession, model: Any, folder: Path) -> None:
        rows = spark.createDataFrame([(str(folder / "single.png"), "a beaver")], "path string, content string")
        checked(model, rows)

    def test_bytes_come_before_paths(self, spark: SparkSession, model: Any) -> None:
        encoded = io.BytesIO()
        picture(1).save(encoded, "PNG")
        checked(model, spark.createDataFrame([("/nowhere", encoded.getvalue())], "path string, content binary"))

    def test_a_picture_column_called_frame(self, spark: SparkSession, network: Path, folder: Path) -> None:
        named = ImageClassifierModel.pretrained(str(network), input_col="frame")
        checked(named, spark.createDataFrame([(str(folder / "single.png"),)], "frame string"))
