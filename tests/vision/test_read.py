"""`read_images`: folders and tables of images, whatever their names, as rows that a model scores."""

from __future__ import annotations

import csv
import errno
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from brightspark.core.errors import InputError, StorageError
from brightspark.core.storage import Storage
from brightspark.core.tables import table_format
from brightspark.vision import ImageClassifierModel, read_images
from tests.vision.pictures import picture

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAMES = ["plain.jpg", "with space.jpg", "comma, comma.png", "Grüße 你好.webp", "100%25.jpg", "a#b?c.bmp", "a&b=c+d.jpg",
         "UPPER.JPG", "Mixed.JpEg", "two\nlines.png", "[x]*{y}.jpg", 'quo"te\'s.jpg', "back\\slash.jpg"]  # fmt: skip


def save(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    formats = {".png": "PNG", ".bmp": "BMP", ".webp": "WEBP"}
    picture(seed).save(path, formats.get(path.suffix.lower(), "JPEG"))
    return path


def paths(frame: DataFrame) -> list[str]:
    return sorted(row["path"] for row in frame.select("path").collect())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images with difficult names."""
    for seed, name in enumerate(NAMES):
        save(tmp_path / "images" / name, seed)
    return tmp_path / "images"


def assert_scored(network: Path, frame: DataFrame, count: int) -> None:
    """Each row's path can be opened as it stands."""
    rows = ImageClassifierModel.pretrained(str(network)).transform(frame).collect()
    assert [row["error"] for row in rows] == [None] * count


class TestFolders:
    def test_a_tree_with_labels(self, spark: SparkSession, tmp_path: Path) -> None:
        cat = save(tmp_path / "images" / "cat" / "1.jpg")
        dog = save(tmp_path / "images" / "animals" / "dog" / "2.PNG")
        top = save(tmp_path / "images" / "3.webp")
        for other in ("cat/notes.txt", "cat/4.svg", "labels.csv", "cat/.hidden.jpg", "_temporary/5.jpg"):
            (tmp_path / "images" / other).parent.mkdir(exist_ok=True)
            (tmp_path / "images" / other).write_text("path,label\nx,y\n")
        frame = read_images(spark, str(tmp_path / "images"))
        assert frame.columns == ["path", "size", "modified", "label"]
        found = {row["path"]: row for row in frame.collect()}
        assert {path: row["label"] for path, row in found.items()} == {str(cat): "cat", str(dog): "dog", str(top): None}
        row = found[str(cat)]
        assert row["size"] == cat.stat().st_size
        seconds = row["modified"].astimezone(UTC) - datetime.fromtimestamp(cat.stat().st_mtime, UTC)
        assert abs(seconds.total_seconds()) < 1

    def test_difficult_names(self, spark: SparkSession, folder: Path, network: Path) -> None:
        frame = read_images(spark, str(folder))
        assert paths(frame) == sorted(str(folder / name) for name in NAMES)
        assert_scored(network, frame, len(NAMES))

    def test_a_folder_with_a_difficult_name(self, spark: SparkSession, tmp_path: Path, network: Path) -> None:
        file = save(tmp_path / "50% off, [new] #1" / "größe" / "1.jpg")
        for named in (str(file.parents[1]), f"{file.parents[1]}/", f"file://{file.parents[1]}"):
            frame = read_images(spark, named)
            assert paths(frame) == [str(file)]
            assert [row["label"] for row in frame.collect()] == ["größe"]
        assert_scored(network, frame, 1)

    def test_an_empty_folder(self, spark: SparkSession, tmp_path: Path) -> None:
        frame = read_images(spark, str(tmp_path))
        assert frame.columns == ["path", "size", "modified", "label"]
        assert frame.collect() == []

    def test_a_list_of_labels_beside_subfolders_is_no_table(self, spark: SparkSession, tmp_path: Path) -> None:
        file = save(tmp_path / "cat" / "1.jpg")
        (tmp_path / "labels.csv").write_text("path,label\ncat/1.jpg,cat\n")
        assert paths(read_images(spark, str(tmp_path))) == [str(file)]

    def test_a_missing_folder(self, spark: SparkSession, tmp_path: Path) -> None:
        """On Connect, whose server may see other storage than the client, the first action raises."""
        from pyspark.errors import PySparkException

        with pytest.raises((InputError, PySparkException), match="there is no folder"):
            read_images(spark, str(tmp_path / "nowhere")).collect()

    def test_a_scheme_that_is_not_allowed(self, spark: SparkSession) -> None:
        with pytest.raises(OSError, match=r"'http' .* is not allowed"):
            read_images(spark, "http://127.0.0.1:9/images")


class _Locked(LocalFileSystem):  # type: ignore[misc]
    """A store that shows what it holds to those who say that they need no key."""

    protocol = "locked"

    def __init__(self, anon: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.anon = anon

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        if not self.anon:
            raise OSError(errno.EIO, "log in")
        return super().ls(path, detail=detail, **options)


fsspec.register_implementation("locked", _Locked, clobber=True)


class TestTables:
    """A column `path` or `content`, and every other column as it is."""

    @pytest.mark.parametrize("relative", [True, False])
    @pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
    def test_paths(self, kind: str, relative: bool, spark: SparkSession, folder: Path, network: Path) -> None:
        rows = [{"path": name if relative else str(folder / name), "age": age} for age, name in enumerate(NAMES)]
        table = folder / f"list.{kind}"
        if kind == "csv":
            with table.open("w", newline="") as file:
                writer = csv.DictWriter(file, ["path", "age"])
                writer.writeheader()
                writer.writerows(rows)
        elif kind == "json":
            table.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            spark.createDataFrame([(row["path"], row["age"]) for row in rows], "path string, age int").write.parquet(
                str(table)
            )
        frame = read_images(spark, str(table))
        assert set(frame.columns) == {"path", "age"}
        found = {row["path"]: row["age"] for row in frame.collect()}
        assert found == {str(folder / name): age for age, name in enumerate(NAMES)}
        assert_scored(network, frame, len(NAMES))

    def test_a_table_is_named_from_here(
        self, spark: SparkSession, folder: Path, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its images must be found by workers, which stand elsewhere."""
        (folder / "list.csv").write_text("path\nplain.jpg\n")
        monkeypatch.chdir(folder)
        for named in ("list.csv", "./list.csv", "../images/list.csv"):
            frame = read_images(spark, named)
            assert all(path.startswith("/") for path in paths(frame)), named
            assert_scored(network, frame, 1)

    def test_a_caption_is_no_image(self, spark: SparkSession, folder: Path) -> None:
        (folder / "list.csv").write_text("path,content\nplain.jpg,a beaver\n")
        assert paths(read_images(spark, str(folder / "list.csv"))) == [str(folder / "plain.jpg")]

    def test_paths_with_a_scheme_and_nulls_stay(self, spark: SparkSession, tmp_path: Path) -> None:
        held = ["s3://bucket/a b.jpg", "file:///data/1.jpg", "/data/2.jpg", None, "sub/3.jpg"]
        spark.createDataFrame([(path,) for path in held], "path string").write.parquet(str(tmp_path / "t.parquet"))
        found = {row["path"] for row in read_images(spark, str(tmp_path / "t.parquet")).collect()}
        assert found == {*held[:-1], str(tmp_path / "sub" / "3.jpg")}

    def test_bytes(self, spark: SparkSession, folder: Path, network: Path) -> None:
        rows = [(name, bytearray((folder / name).read_bytes())) for name in NAMES]
        spark.createDataFrame(rows, "name string, content binary").write.parquet(str(folder / "bytes"))
        frame = read_images(spark, str(folder / "bytes"), format="parquet")
        assert frame.columns == ["name", "content"]
        assert sorted(map(tuple, frame.collect())) == sorted(rows)
        assert_scored(network, frame, len(NAMES))

    @pytest.mark.parametrize("column", ["path", "content"])
    def test_orc(self, column: str, spark: SparkSession, folder: Path, network: Path) -> None:
        rows = [(name if column == "path" else bytearray((folder / name).read_bytes()), name) for name in NAMES]
        kind = "string" if column == "path" else "binary"
        spark.createDataFrame(rows, f"{column} {kind}, name string").write.orc(str(folder / "table"))
        frame = read_images(spark, str(folder / "table"), format="orc")
        assert set(frame.columns) == {column, "name"}
        assert sorted(row["name"] for row in frame.collect()) == sorted(NAMES)
        assert_scored(network, frame, len(NAMES))

    def test_binary_file(self, spark: SparkSession, folder: Path, network: Path) -> None:
        """Spark's own format for folders: paths with a scheme, and the bytes, which are what is scored."""
        frame = read_images(spark, str(folder), format="binaryFile")
        assert frame.columns == ["path", "modificationTime", "length", "content"]
        contents = {bytes(row["content"]) for row in frame.collect()}
        assert contents == {(folder / name).read_bytes() for name in NAMES}
        assert_scored(network, frame, len(NAMES))

    def test_a_folder_of_parquet_files_is_a_table(self, spark: SparkSession, tmp_path: Path) -> None:
        spark.createDataFrame([("/a.jpg",)], "path string").write.parquet(str(tmp_path / "table"))
        assert paths(read_images(spark, str(tmp_path / "table"))) == ["/a.jpg"]

    def test_a_folder_of_parquet_files_in_storage_that_needs_options(self, spark: SparkSession, tmp_path: Path) -> None:
        """With other options, or none, it would not be listed, and be taken for a folder without images."""
        (tmp_path / "table").mkdir()
        (tmp_path / "table" / "part-0.parquet").write_bytes(b"")
        named = f"locked://{tmp_path}/table"
        allowed = Storage(schemes=frozenset({"locked"}), options={"anon": True})
        assert table_format(named, allowed) == "parquet"
        with pytest.raises(StorageError, match=r"cannot list .*: log in"):
            table_format(named, Storage(schemes=frozenset({"locked"})))
        from pyspark.sql.utils import is_remote

        if is_remote():  # the server has no such storage
            return
        with pytest.raises(Exception, match=r"No FileSystem for scheme"):  # Spark was told that it is a table
            read_images(spark, named, schemes=("locked",), storage_options={"anon": True}).collect()

    def test_neither_path_nor_content(self, spark: SparkSession, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("file,label\na.jpg,cat\n")
        with pytest.raises(InputError, match=r"neither a column 'path' nor 'content'; there are 'file', 'label'"):
            read_images(spark, str(tmp_path / "list.csv"))
