"""DICOM files of many frames: each is opened and its header read once, and every frame is still its own."""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pytest
from pydicom.encaps import encapsulate_extended, fragment_frame, itemize_fragment
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, StorageError
from brightspark.core.feed import Room
from brightspark.core.predictor import Work
from brightspark.core.storage import Storage
from brightspark.vision import ImageClassifierModel, dicom_cache, read_dicom
from brightspark.vision.settings import ImageSettings
from brightspark.vision.sources import open_picture
from tests.vision.dicom_reading import grey
from tests.vision.dicom_writing import compressed, dicom_bytes, dicom_set, window_group
from tests.vision.flaky import FLAKY, flaky
from tests.vision.pictures import picture

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = ImageSettings(frame_col="frame")
SIDE = 32


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    dicom_cache.close_all()


def pixels(count: int) -> Any:
    """So many pictures, each with a grey value of its own in the middle and all from black to white."""
    made = np.stack([np.full((SIDE, SIDE), number % 250, np.uint8) for number in range(count)])
    made[:, 0, :2] = 0, 255
    return made


def value(number: int) -> int:
    return number % 250


def plain(count: int) -> bytes:
    return dicom_bytes(dicom_set(pixels(count), frames=count))


def grouped(count: int) -> bytes:
    groups = [window_group(128, 256) for _ in range(count)]
    return dicom_bytes(dicom_set(pixels(count), frames=count, PerFrameFunctionalGroupsSequence=groups))


def deflated(count: int) -> bytes:
    return dicom_bytes(dicom_set(pixels(count), frames=count), DeflatedExplicitVRLittleEndian)


def rle(count: int) -> bytes:
    made = dicom_set(pixels(count), frames=count)
    made.compress(RLELossless)
    return dicom_bytes(made)


def codestreams(count: int) -> list[bytes]:
    made = dicom_set(pixels(count), frames=count)
    made.compress(JPEG2000Lossless)
    from pydicom.encaps import generate_frames

    return list(generate_frames(made.PixelData, number_of_frames=count))


def without_table(count: int) -> bytes:
    return compressed(dicom_set(pixels(1)[0], NumberOfFrames=count), JPEG2000Lossless, codestreams(count), table=False)


def extended(count: int) -> bytes:
    made = dicom_set(pixels(1)[0], NumberOfFrames=count)
    made.PixelData, made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths = encapsulate_extended(codestreams(count))
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return dicom_bytes(made, JPEG2000Lossless)


def in_pieces(count: int) -> bytes:
    """Frames of three fragments each, and no table: a frame's end is where its codestream ends."""
    fragments = [part for frame in codestreams(count) for part in fragment_frame(frame, 3)]
    made = dicom_set(pixels(1)[0], NumberOfFrames=count)
    made.add_new("PixelData", "OB", bytes.fromhex("feff00e000000000") + b"".join(map(itemize_fragment, fragments)))
    made["PixelData"].is_undefined_length = True
    return dicom_bytes(made, JPEG2000Lossless)


def short_table(count: int) -> bytes:
    """A table of one offset, as some programs write it whatever the number of frames."""
    content = without_table(count)
    at = content.index(bytes.fromhex("feff00e000000000"))
    return content[:at] + bytes.fromhex("feff00e00400000000000000") + content[at + 8 :]


KINDS: dict[str, Callable[[int], bytes]] = {
    made.__name__: made for made in (plain, grouped, deflated, rle, without_table, extended, in_pieces, short_table)
}


class Counting:
    """Opens files as the storage does, and counts that, and what is read of them."""

    def __init__(self, storage: Storage | None = None) -> None:
        self.opened = self.bytes = 0
        self.storage = storage or Storage()

    def __call__(self, path: str, *, whole: bool = True) -> BinaryIO:
        self.opened += 1
        counting = self

        class File(io.FileIO):
            def read(self, size: int | None = -1, /) -> bytes:
                data = super().read(-1 if size is None else size)
                counting.bytes += len(data)
                return data

        self.storage.open(path, whole=whole).close()
        return File(path)  # type: ignore[return-value]


def shown(path: Path | str, number: int, open: Any = None) -> int:
    """The grey value in the middle of a frame."""
    work = Work(open or Storage().open, Room(1 << 30))
    with open_picture({"path": str(path), "frame": number}, work, SETTINGS) as opened:
        return int(np.asarray(opened.decode("L"))[SIDE // 2, SIDE // 2])


def save(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class TestEffort:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_file_is_read_once(self, kind: str, tmp_path: Path) -> None:
        """As many bytes as it has, and a few of each frame; not its header and tables for each frame again."""
        content = KINDS[kind](60)
        file = save(tmp_path / "many", content)
        opener = Counting()
        order = random.Random(0).sample(range(60), 60)
        assert [shown(file, number, opener) for number in order] == [value(number) for number in order]
        assert opener.opened == 1
        assert opener.bytes < 1.1 * len(content) + 5_000

    def test_by_threads_that_begin_at_the_same_time(self, tmp_path: Path) -> None:
        file = save(tmp_path / "many", grouped(200))
        opener = Counting()
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda number: shown(file, number, opener), range(200))) == [*map(value, range(200))]
        assert opener.opened == 1

    def test_by_a_model(self, network: Path, tmp_path: Path) -> None:
        """The engine asks for each row by itself, in several threads."""
        file = save(tmp_path / "many", grouped(100))
        model = ImageClassifierModel.pretrained(str(network), frame_col="frame", split_threads=4)
        dicom_cache.close_all()
        rows = [{"path": str(file), "frame": number} for number in range(100)]
        (outcomes,) = model.scorer().score([rows])
        assert {outcome.error for outcome in outcomes} == {None}
        (held,) = dicom_cache._held
        assert held.users == 0


class TestPlaces:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_frame_is_its_own(self, kind: str, tmp_path: Path) -> None:
        content = KINDS[kind](7)
        file = save(tmp_path / "many", content)
        for number in (6, 0, 3):
            assert shown(file, number) == grey(content, number)[SIDE // 2, SIDE // 2] == value(number)

    @pytest.mark.parametrize("kind", ["rle", "without_table", "extended", "in_pieces"])
    def test_frames_that_are_not_there(self, kind: str, tmp_path: Path) -> None:
        """More are stated than there are: those that are there can be read."""
        content = KINDS[kind](7)
        at = content.index(b"IS\2\0007 ")
        file = save(tmp_path / "many", content[:at] + b"IS\2\0009 " + content[at + 6 :])
        with pytest.raises(InputError, match="cannot be decoded: frame 8 is not among the 7 that were found"):
            shown(file, 8)
        assert shown(file, 5) == value(5)

    def test_fragments_without_end(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("brightspark.vision.dicom_fragments._TABLE_BYTES", 300)
        assert shown(save(tmp_path / "few", without_table(20)), 19) == value(19)
        with pytest.raises(InputError, match="more fragments than"):
            shown(save(tmp_path / "many", without_table(40)), 0)


class TestHeldFiles:
    def test_few_stay_open(self, tmp_path: Path) -> None:
        files = [save(tmp_path / str(number), plain(3)) for number in range(8)]

        def held() -> int:
            links = [Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
            return sum(link.exists() and link.resolve().parent == tmp_path for link in links)

        for number in range(3):
            for file in files:
                assert shown(file, number) == value(number)
        assert held() == len(dicom_cache._held) == dicom_cache.FILES_HELD
        dicom_cache.close_all()
        assert held() == 0

    def test_long_headers_are_fewer(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        files = [save(tmp_path / str(number), grouped(50)) for number in range(3)]
        monkeypatch.setattr(dicom_cache, "BYTES_HELD", 1)
        for file in files:
            assert shown(file, 0) == 0
            assert [held.path for held in dicom_cache._held] == [str(file)]
        assert dicom_cache._held[0].memory_bytes() > 50 * 1_000

    def test_what_was_inflated_counts(self, tmp_path: Path) -> None:
        shown(save(tmp_path / "many", deflated(500)), 499)
        assert dicom_cache._held[0].memory_bytes() > 500 * SIDE**2

    def test_a_file_of_one_frame_is_closed(self, tmp_path: Path) -> None:
        picture(1).save(tmp_path / "still.png")
        for file in (save(tmp_path / "one", dicom_bytes(dicom_set(pixels(1)[0]))), tmp_path / "still.png"):
            shown(file, 0)
            with pytest.raises(InputError):
                shown(save(tmp_path / "no", b"nothing"), 0)
        assert dicom_cache._held == []

    def test_threads_at_more_files_than_stay_open(self, tmp_path: Path) -> None:
        files = [save(tmp_path / str(number), plain(20)) for number in range(6)]
        asked = [(file, number) for number in range(20) for file in files]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda row: shown(*row), asked)) == [number for _, number in asked]
        assert len(dicom_cache._held) == dicom_cache.FILES_HELD
        assert {held.users for held in dicom_cache._held} == {0}

    def test_a_file_that_was_replaced_is_read_again(self, tmp_path: Path) -> None:
        file = save(tmp_path / "many", plain(9))
        assert shown(file, 3) == 3
        save(tmp_path / "other", dicom_bytes(dicom_set(pixels(9)[::-1], frames=9))).replace(file)
        assert shown(file, 3) == 5
        file.unlink()
        with pytest.raises(StorageError, match="there is no file"):
            shown(file, 3)

    def test_a_file_that_was_written_over_is_read_again(self, tmp_path: Path) -> None:
        file = save(tmp_path / "many", plain(9))
        assert shown(file, 3) == 3
        save(file, grouped(12))
        assert shown(file, 10) == 10

    def test_other_storage_is_not_served(self, tmp_path: Path) -> None:
        file = save(tmp_path / "many", plain(3))
        assert shown(file, 0) == 0
        with pytest.raises(StorageError, match="outside"):
            shown(file, 0, Storage(base=str(tmp_path / "elsewhere")).open)
        assert shown(file, 0, Storage().open) == 0  # equal storage is
        assert len(dicom_cache._held) == 1

    def test_storage_that_fails_in_between_is_asked_again(self, tmp_path: Path) -> None:
        path = f"flaky://{save(tmp_path / 'many', plain(9))}"
        with flaky():
            assert shown(path, 3, FLAKY.open) == 3
        with flaky(reads=0), pytest.raises(StorageError, match="failed in mid-file: TimeoutError: throttled"):
            shown(path, 4, FLAKY.open)
        with flaky(opens=0), pytest.raises(StorageError, match="throttled"):
            shown(path, 4, FLAKY.open)
        with flaky():
            assert shown(path, 4, FLAKY.open) == 4

    def test_a_damaged_frame_costs_no_other(self, tmp_path: Path) -> None:
        content = bytearray(without_table(9))
        ends = [at for at in range(len(content)) if content.startswith(b"\xff\xd9", at)]
        content[ends[2] + 18 : ends[3]] = bytes(ends[3] - ends[2] - 18)
        file = save(tmp_path / "many", bytes(content))
        assert shown(file, 1) == 1
        with pytest.raises(InputError, match="cannot be decoded"):
            shown(file, 3)
        assert [held.path for held in dicom_cache._held] == [str(file)]
        assert shown(file, 4) == 4

    def test_a_fork_does_not_move_its_parents_files(self, tmp_path: Path) -> None:
        file = save(tmp_path / "many", plain(200))
        assert shown(file, 0) == 0
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                status = 0 if [shown(file, number) for number in range(200)] == [*map(value, range(200))] else 1
            os._exit(status)
        assert [shown(file, number) for number in range(200)] == [*map(value, range(200))]
        assert os.waitpid(child, 0)[1] == 0


class TestRuns:
    """Frames reach tasks in runs, so that a task reads a file's header for many of them."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name, content in {
            "long": plain(700),
            "short": plain(5),
            "one": dicom_bytes(dicom_set(pixels(1)[0])),
        }.items():
            save(tmp_path / name, content)
        return tmp_path

    def test_together_and_in_order(self, spark: SparkSession, folder: Path) -> None:
        frame = read_dicom(spark, str(folder), all_frames=True, facts=("Rows",))
        rows = frame.withColumn("task", F.spark_partition_id()).collect()
        name = {(Path(row["path"]).name, row["frame"]) for row in rows}
        assert len(rows) == len(name) == 706
        assert {row["Rows"] for row in rows} == {str(SIDE)}
        follows = [row["path"] == after["path"] and after["frame"] == row["frame"] + 1 for row, after in pairwise(rows)]
        tasks = len({row["task"] for row in rows})
        assert tasks > 1  # a long file is spread
        assert follows.count(False) <= 2 + 2 * tasks  # each task has one run of it, and there are two other files

    def test_few_for_a_long_file(self) -> None:
        from brightspark.vision.dicom_files import _edges

        assert _edges(5, 8) == [0, 5]
        assert _edges(100, 8) == [0, 25, 50, 75, 100]
        assert _edges(4_000, 8) == list(range(0, 4_001, 500))
        assert max(after - first for first, after in pairwise(_edges(1_000_003, 8))) <= 10_000
        assert _edges(100, 0) == [0, 100]  # of the first frames of files there is no number of tasks

    def test_frames_of_a_table_are_read_as_they_come(self, spark: SparkSession, folder: Path, network: Path) -> None:
        """Whoever brings a table of paths and frames gets each frame's answer, in any order."""
        rows = [(str(folder / "long"), number) for number in (650, 3, 699, 3)]
        model = ImageClassifierModel.pretrained(str(network), precision="float32")
        found = model.transform(spark.createDataFrame(rows, "path string, frame int")).collect()
        assert [row["error"] for row in found] == [None] * 4
        answers = {row["frame"]: tuple(row["probability"]) for row in found}
        assert len(set(answers.values())) == 3
