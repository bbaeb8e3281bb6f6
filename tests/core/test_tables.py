"""A table's format is told by its path or by what lies in the folder; a folder of other files is no table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brightspark.core.errors import InputError
from brightspark.core.tables import read_table, table_format

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
