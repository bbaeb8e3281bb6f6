"""`read_video`: moments of videos as rows, each once and in order, which a model scores as plain timm would."""

from __future__ import annotations

import io
import itertools
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from brightspark.core.errors import InputError, SettingError, StorageError
from brightspark.vision import ImageClassifierModel, read_video
from brightspark.vision.images import MAX_PIXELS
from brightspark.vision.moments import _end, _frame
from brightspark.vision.video import NO_LENGTH
from tests.vision.films import cut, on_display, plain_frames, save_film, save_recording, with_duration
from tests.vision.flaky import FLAKY, flaky
from tests.vision.networks import plain_timm

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of two cameras, and all sorts of damage."""
    folder = tmp_path_factory.mktemp("footage")
    save_film(folder / "entrance" / "monday" / "8.mp4", frames=75, b_frames=2)
    save_film(folder / "entrance" / "9.MKV", frames=50)
    save_film(folder / "yard.avi", "mpeg4", frames=30)
    cut(save_film(folder / "damaged" / "a.ts", frames=250))
    for factor, name in itertools.product((0.1, 10), ("b.mp4", "c.mkv")):
        with_duration(save_film(folder / "damaged" / name, frames=50), factor)
    with_duration(save_film(folder / "damaged" / "d.avi", "mpeg4", frames=50), 10)
    cut(save_film(folder / "damaged" / "e.mp4"))
    save_recording(folder / "damaged" / "sound.mp4")
    (folder / "damaged" / "empty.mp4").write_bytes(b"")
    (folder / "damaged" / "a text.mp4").write_text("hello")
    (folder / "damaged" / "notes.txt").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def model(network: Path) -> ImageClassifierModel:
    return ImageClassifierModel.pretrained(str(network), precision="float32")


def times(frame: DataFrame) -> dict[str, list[float | None]]:
    """The times of each file by name, sorted."""
    found = defaultdict(list)
    for row in frame.select("path", "time").collect():
        found[Path(row["path"]).name].append(row["time"])
    return {name: sorted(of, key=lambda time: (time is not None, time)) for name, of in found.items()}


class TestMoments:
    def test_each_video_has_its_moments_once_whatever_its_header_says(self, spark: SparkSession, footage: Path) -> None:
        found = times(read_video(spark, str(footage), every=0.3, segment_seconds=1))
        whole = {"8.mp4": 3.0, "9.MKV": 2.0, "yard.avi": 1.2, "a.ts": 10.0, "e.mp4": 4.0, "b.mp4": 2.0, "c.mkv": 2.0,
                 "d.avi": 2.0, "claims 0.1 of b.mp4": 2.0, "claims 10 of b.mp4": 2.0, "claims 0.1 of c.mkv": 2.0,
                 "claims 10 of c.mkv": 2.0, "claims 10 of d.avi": 2.0}  # fmt: skip
        for name, seconds in whole.items():
            assert found.pop(name) == [number * 0.3 for number in range(100) if number * 0.3 < seconds], name
        shortened = found.pop("cut a.ts")
        assert 10 < len(shortened) < 25
        assert shortened == [number * 0.3 for number in range(len(shortened))]
        assert found == {"cut e.mp4": [None], "sound.mp4": [None], "empty.mp4": [None], "a text.mp4": [None]}

    def test_columns_of_a_folder(self, spark: SparkSession, footage: Path) -> None:
        frame = read_video(spark, str(footage))
        assert frame.dtypes[:2] + frame.dtypes[3:] == [
            ("path", "string"), ("size", "bigint"), ("camera", "string"), ("time", "double")]  # fmt: skip
        assert frame.columns[2] == "modified"
        cameras = {(Path(row["path"]).name, row["camera"]) for row in frame.select("path", "camera").collect()}
        assert {("8.mp4", "entrance"), ("9.MKV", "entrance"), ("yard.avi", "yard"), ("a.ts", "damaged")} <= cameras

    def test_a_single_file(self, spark: SparkSession, footage: Path) -> None:
        rows = read_video(spark, str(footage / "yard.avi"), every=0.5).collect()
        assert [row.asDict() for row in rows] == [
            {"path": str(footage / "yard.avi"), "camera": "yard", "time": time} for time in (0.0, 0.5, 1.0)
        ]

    def test_a_single_file_that_is_not_there(self, spark: SparkSession, tmp_path: Path) -> None:
        from pyspark.sql.utils import is_remote

        if is_remote():  # only the server knows; its row is scored
            return
        with pytest.raises(InputError, match=r"there is no video .*nowhere\.mp4"):
            read_video(spark, str(tmp_path / "nowhere.mp4"))

    def test_a_folder_that_is_called_like_a_video(self, spark: SparkSession, tmp_path: Path) -> None:
        from pyspark.sql.utils import is_remote

        save_film(tmp_path / "cam.ts" / "8.mp4", frames=25)
        named = f"{tmp_path}/cam.ts"
        if not is_remote():
            assert times(read_video(spark, named)) == {"8.mp4": [0.0]}

    def test_a_table_is_named_from_here(
        self, spark: SparkSession, footage: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (footage / "short.csv").write_text("path,n\nyard.avi,1\n")
        monkeypatch.chdir(footage)
        (row,) = read_video(spark, "short.csv", every=10).collect()
        assert (row["path"], row["camera"]) == (str(footage / "yard.avi"), "yard")

    def test_base(self, spark: SparkSession, footage: Path, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text(f"path,n\n{footage / 'yard.avi'},1\n")
        frame = read_video(spark, str(tmp_path / "t.csv"), base=str(tmp_path), content=True)
        (row,) = frame.collect()
        assert (row["time"], row["content"]) == (None, None)
        assert "yard.avi' is outside" in row["content_error"]

    def test_max_pixels(self, spark: SparkSession, footage: Path) -> None:
        (row,) = read_video(spark, str(footage / "yard.avi"), every=10, content=True, max_pixels=3_000).collect()
        assert "64×48 pixels, more than the 3,000" in row["content_error"]

    def test_storage_that_fails_for_a_moment_loses_no_moments(self, footage: Path) -> None:
        """The task fails, and Spark tries it again."""
        path = f"flaky://{footage}/yard.avi"
        with (
            flaky(reads=1),
            pytest.raises(StorageError, match="the storage failed in mid-file: TimeoutError: throttled"),
        ):
            _end(path, FLAKY)
        with flaky(opens=0), pytest.raises(StorageError, match=r"cannot open .*avi: throttled"):
            _end(path, FLAKY)
        with flaky():
            assert _end(path, FLAKY) == pytest.approx(1.2)
            assert _end(f"flaky://{footage}/lost.avi", FLAKY) is None
            assert _end(f"flaky://{footage}/{'a' * 300}.avi", FLAKY) is None
            assert _end(f"flaky://{footage}/damaged/a text.mp4", FLAKY) is None

    def test_no_content_where_the_length_is_not_known(self, footage: Path) -> None:
        path = f"flaky://{footage}/yard.avi"
        assert _frame(path, None, FLAKY, MAX_PIXELS) == (None, f"InputError: {NO_LENGTH}")

    def test_a_table_keeps_its_columns(self, spark: SparkSession, footage: Path, tmp_path: Path) -> None:
        (footage / "list.csv").write_text("path,place\nyard.avi,outside\nentrance/9.MKV,inside\n")
        rows = read_video(spark, str(footage / "list.csv"), every=10).collect()
        assert sorted((Path(row["path"]).name, row["place"], row["camera"], row["time"]) for row in rows) == [
            ("9.MKV", "inside", "entrance", 0.0), ("yard.avi", "outside", "yard", 0.0)]  # fmt: skip
        (tmp_path / "t.csv").write_text(f"path,camera\n{footage / 'yard.avi'},7\n")
        assert [row["camera"] for row in read_video(spark, str(tmp_path / "t.csv"), every=10).collect()] == [7]
        (tmp_path / "u.csv").write_text(f"path,n\n{footage / 'entrance' / '9.MKV'},1\n,2\n")
        found = {(row["camera"], row["time"]) for row in read_video(spark, str(tmp_path / "u.csv"), every=10).collect()}
        assert found == {("entrance", 0.0), (None, None)}

    @pytest.mark.parametrize("header", ["file,label", "path,time", "path,content"])
    def test_a_table_that_cannot_be_read(self, header: str, spark: SparkSession, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text(f"{header}\na.mp4,1\n")
        with pytest.raises(InputError, match=r"has no column 'path'|has a column '(time|content)' already"):
            read_video(spark, str(tmp_path / "t.csv"))

    @pytest.mark.parametrize("name", ["every", "segment_seconds"])
    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
    def test_seconds_that_are_none(self, name: str, seconds: float, spark: SparkSession) -> None:
        with pytest.raises(SettingError, match=f"{name}=.* must be a number of seconds above 0"):
            read_video(spark, "/nowhere.mp4", **{name: seconds})  # type: ignore[arg-type]

    def test_a_scheme_that_is_not_allowed(self, spark: SparkSession) -> None:
        with pytest.raises(OSError, match=r"'http' .* is not allowed"):
            read_video(spark, "http://127.0.0.1:9/a.mp4")


class TestSpread:
    def test_a_long_video_is_spread_in_whole_segments(self, spark: SparkSession, tmp_path: Path) -> None:
        from pyspark.sql import functions as F

        film = save_film(tmp_path / "long.mp4", frames=1000, rate=1, gop=50)
        frame = read_video(spark, str(film), every=2.0, segment_seconds=60)
        rows = frame.withColumn("partition", F.spark_partition_id()).collect()
        assert sorted(row["time"] for row in rows) == [2.0 * number for number in range(500)]
        of_task = defaultdict(list)
        for row in rows:
            of_task[row["partition"]].append(row["time"])
        assert len(of_task) == 8
        assert max(map(len, of_task.values())) <= 3 * 30
        breaks = sum(
            after != before + 2.0 for of in of_task.values() for before, after in itertools.pairwise(of)
        )  # where another segment begins
        assert breaks <= 17 - len(of_task)


class TestScoring:
    def test_answers_are_plain_timms_of_plain_pyavs_frames(
        self, spark: SparkSession, footage: Path, model: ImageClassifierModel, network: Path
    ) -> None:
        rows = model.transform(read_video(spark, str(footage), every=0.3)).collect()
        assert len(rows) > 100
        for path, of in itertools.groupby(sorted(rows, key=lambda row: row["path"]), key=lambda row: row["path"]):
            moments = list(of)
            if moments[0]["time"] is None:
                (row,) = moments
                assert row["prediction"] is None
                assert "no video" in row["error"]
                continue
            assert [row["error"] for row in moments] == [None] * len(moments)
            if "cut" not in path:  # of a cut file a plain decode raises at the end
                frames = plain_frames(Path(path))
                expected = plain_timm(network, [on_display(frames, row["time"]) for row in moments])
                assert np.allclose([row["probability"] for row in moments], expected, atol=TOLERANCE)

    def test_content_holds_the_same_frames_or_why_there_are_none(
        self, spark: SparkSession, footage: Path, model: ImageClassifierModel
    ) -> None:
        frame = read_video(spark, str(footage), every=0.7, content=True)
        assert frame.columns[-3:] == ["time", "content", "content_error"]
        for row in model.transform(frame).collect():
            if row["time"] is None:
                assert row["content"] is None
                assert "no video" in row["content_error"]
                assert row["error"] is not None
                continue
            assert (row["content_error"], row["error"]) == (None, None)
            if "cut" not in row["path"]:
                with Image.open(io.BytesIO(row["content"])) as image:
                    shown = on_display(plain_frames(Path(row["path"])), row["time"])
                    assert np.abs(np.asarray(image, float) - np.asarray(shown, float)).mean() < 4

    def test_a_file_larger_than_allowed_for_images_is_read(
        self, spark: SparkSession, footage: Path, network: Path
    ) -> None:
        small = ImageClassifierModel.pretrained(str(network), max_file_bytes=100)
        rows = small.transform(read_video(spark, str(footage / "yard.avi"), every=0.5)).collect()
        assert [row["error"] for row in rows] == [None] * 3
