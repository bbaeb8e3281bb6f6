"""A table's format is told by its path or by what lies in the folder; a folder of other files is no table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql.utils import is_remote

from brightspark.core.errors import InputError
from brightspark.core.remote import on_a_worker
from brightspark.core.storage import Storage
from brightspark.core.tables import format_there, read_table, table_format

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["part-0.parquet", "part-1.parquet", "_SUCCESS", ".part-0.parquet.crc"], "parquet"),
        (["day=1/hour=2/part-0.parquet", "_SUCCESS"], "parquet"),
        (["labels.csv", "label=cat/a.jpg"], None),
        (["a.csv"], "csv"),
        (["a.tsv"], "tsv"),
        (["A.JSONL"], "json"),
        (["a.csv", "b.parquet"], None),
        (["labels.csv", "a.jpg"], None),
        (["labels.csv", "cat/a.jpg"], None),
        (["a.jpg"], None),
        ([], None),
    ],
)
def test_a_folder_is_what_lies_in_it(tmp_path: Path, names: list[str], wanted: str | None) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert table_format(str(tmp_path)) == wanted


def test_a_path_that_is_no_table_says_so(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for name in ("gone", "notes.txt"):
        assert table_format(str(tmp_path / name)) is None
        with pytest.raises(InputError, match=rf"{name} does not look like a table \(\.parquet.*format='parquet'"):
            read_table(spark, str(tmp_path / name))


def test_each_format_is_read(spark: SparkSession, tmp_path: Path) -> None:
    rows = [("cat, or dog", 1), ('a "quoted"\nline', 2)]
    table = spark.createDataFrame(rows, "label string, number int").coalesce(1)
    for name in ("parquet", "orc", "json"):
        table.write.format(name).save(str(tmp_path / name))
    for name, separator in (("csv", ","), ("tsv", "\t")):
        lines = [f'"{text.replace(chr(34), chr(34) * 2)}"{separator}{number}' for text, number in rows]
        (tmp_path / f"table.{name}").write_text("\n".join([f"label{separator}number", *lines]))
        (tmp_path / name).mkdir()
        (tmp_path / name / f"part.{name}").write_text((tmp_path / f"table.{name}").read_text())
    for name in ("parquet", "orc", "json", "csv", "tsv", "table.csv", "table.tsv"):
        read = read_table(spark, str(tmp_path / name))
        assert sorted((row["label"], row["number"]) for row in read.collect()) == sorted(rows), name
    # The name that is given wins over the path.
    (tmp_path / "parquet").rename(tmp_path / "table.v1")
    assert read_table(spark, str(tmp_path / "table.v1"), format="parquet").count() == 2


def test_a_relative_path_is_the_drivers(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark's JVM, or the server of Spark Connect, stands elsewhere."""
    monkeypatch.chdir(tmp_path)
    Path("list.csv").write_text("n\n1\n2\n")
    spark.range(3).write.parquet(str(tmp_path / "held"))
    assert [read_table(spark, name).count() for name in ("list.csv", "./list.csv", "held")] == [2, 2, 3]
    assert read_table(spark, "list.csv", format="csv").count() == 2
    assert read_table(spark, "held", format="parquet").count() == 3


def test_a_folder_is_looked_at_where_the_workers_are(spark: SparkSession, tmp_path: Path) -> None:
    """Behind Spark Connect there may be folders that this client does not see: a worker's own one, for example."""
    spark.range(3).coalesce(1).write.parquet(str(tmp_path / "held"))
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    (tmp_path / "pictures" / "cat" / "a.jpg").write_bytes(b"x")
    found = [format_there(spark, str(tmp_path / name), Storage()) for name in ("held", "pictures", "gone")]
    assert found == ["parquet", None, None]
    with pytest.raises(InputError, match="does not look like a table"):
        read_table(spark, str(tmp_path / "pictures"))
    if is_remote():
        theirs = "/proc/self/cwd/theirs"
        on_a_worker(spark, partial(_save_part, theirs))
        assert (format_there(spark, theirs, Storage()), table_format(theirs)) == ("parquet", None)


def _save_part(folder: str) -> None:
    Path(folder).mkdir()
    (Path(folder) / "part-0.parquet").write_bytes(b"x")


def test_any_format_that_the_session_knows(spark: SparkSession, tmp_path: Path) -> None:
    """By its name; the same on classic Spark and behind Spark Connect."""
    (tmp_path / "notes").write_text("one\ntwo\n")
    assert {row["value"] for row in read_table(spark, str(tmp_path / "notes"), format="text").collect()} == {
        "one",
        "two",
    }
    (row,) = read_table(spark, str(tmp_path / "notes"), format="binaryFile").collect()
    assert bytes(row["content"]) == b"one\ntwo\n"
    with pytest.raises(InputError, match="knows no format 'parkuet'; did you mean 'parquet'"):
        read_table(spark, str(tmp_path / "notes"), format="parkuet")
