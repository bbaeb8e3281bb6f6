"""A folder of files as a DataFrame: what is there at each action, in many partitions, labelled by folder."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql.utils import is_remote

from brightspark.core.errors import InputError, StorageError
from brightspark.core.listing import list_files
from brightspark.core.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SUFFIXES = (".jpg", ".png")


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_files_come_with_label_size_and_time(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path, "top.jpg", "cat/a.JPG", "cat/deep/b.Png", "dog/c.jpg", "dog/d.txt", "e.jpgx")
    write(tmp_path, ".hidden/x.jpg", "_hidden/x.jpg", "cat/.x.jpg", "cat/_x.jpg")
    os.utime(tmp_path / "top.jpg", (0, 1_700_000_000.25))
    found = list_files(spark, str(tmp_path), suffixes=SUFFIXES)
    assert found.dtypes == [("path", "string"), ("size", "bigint"), ("modified", "timestamp"), ("label", "string")]
    rows = {row["path"].removeprefix(f"{tmp_path}/"): row for row in found.collect()}
    assert {name: row["label"] for name, row in rows.items()} == {
        "top.jpg": None, "cat/a.JPG": "cat", "cat/deep/b.Png": "deep", "dog/c.jpg": "dog"
    }  # fmt: skip
    for name, row in rows.items():
        assert row["size"] == len(name)
        assert row["modified"].timestamp() == pytest.approx((tmp_path / name).stat().st_mtime, abs=1e-5)
    assert rows["top.jpg"]["modified"].astimezone(dt.UTC).isoformat() == "2023-11-14T22:13:20.250000+00:00"


@pytest.mark.parametrize("spelling", ["{0}/", "{0}//", "file://{0}", "{0}/cat/..", "{0}/./"])
def test_the_label_does_not_depend_on_how_the_folder_is_spelled(
    spark: SparkSession, tmp_path: Path, spelling: str
) -> None:
    write(tmp_path, "top.jpg", "cat/a.jpg")
    rows = list_files(spark, spelling.format(tmp_path), suffixes=SUFFIXES).collect()
    assert sorted((row["label"] or "", Path(row["path"]).name) for row in rows) == [("", "top.jpg"), ("cat", "a.jpg")]
    assert all(Storage().read(row["path"]) for row in rows)


def test_a_relative_folder_is_the_drivers(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "photographs/cat/a.jpg", "photographs/top.jpg")
    monkeypatch.chdir(tmp_path)
    rows = list_files(spark, "photographs", suffixes=SUFFIXES).collect()
    assert {row["path"] for row in rows} == {str(tmp_path / "photographs" / name) for name in ("cat/a.jpg", "top.jpg")}


def test_each_action_lists_anew(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path, "cat/a.jpg")
    found = list_files(spark, str(tmp_path), suffixes=SUFFIXES)
    assert found.count() == 1
    write(tmp_path, "dog/b.jpg", "cat/c.jpg")
    assert found.count() == 3
    (tmp_path / "cat" / "a.jpg").unlink()
    assert found.count() == 2


def test_many_folders_fill_many_partitions(spark: SparkSession, tmp_path: Path) -> None:
    names = [f"class {folder:02}/{file}.jpg" for folder in range(40) for file in range(30)]
    write(tmp_path, *names)
    found = list_files(spark, str(tmp_path), suffixes=SUFFIXES)
    rows = found.selectExpr("path", "label", "spark_partition_id() as part").collect()
    assert sorted(row["path"] for row in rows) == sorted(f"{tmp_path}/{name}" for name in names)
    assert len({row["label"] for row in rows}) == 40
    partitions = int(spark.conf.get("spark.sql.shuffle.partitions") or 0)
    assert len({row["part"] for row in rows}) == partitions
    again = {row["path"]: row["part"] for row in found.selectExpr("path", "spark_partition_id() as part").collect()}
    assert again == {row["path"]: row["part"] for row in rows}


def test_a_folder_that_holds_nothing_gives_no_rows(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path, "notes.txt")
    assert list_files(spark, str(tmp_path), suffixes=SUFFIXES).collect() == []


@pytest.mark.parametrize(("name", "reason"), [("gone", "there is no folder"), ("a.jpg", "is a file, not a folder")])
def test_a_folder_that_is_none_is_an_error(spark: SparkSession, tmp_path: Path, name: str, reason: str) -> None:
    write(tmp_path, "a.jpg")
    if is_remote():  # whose server may see other storage than this client
        with pytest.raises(Exception, match=reason):
            list_files(spark, str(tmp_path / name), suffixes=SUFFIXES).collect()
    else:
        with pytest.raises(InputError, match=reason):
            list_files(spark, str(tmp_path / name), suffixes=SUFFIXES)


def test_another_scheme_is_refused_at_once(spark: SparkSession) -> None:
    with pytest.raises(StorageError, match=r"'http'.*not allowed"):
        list_files(spark, "http://host/photographs", suffixes=SUFFIXES)


def test_links_are_followed_once(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path, "real/a.jpg")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    rows = list_files(spark, str(tmp_path), suffixes=SUFFIXES).collect()
    names = sorted(row["path"].removeprefix(f"{tmp_path}/") for row in rows)
    assert names == ["broken.jpg", "linked/a.jpg", "real/a.jpg"]


def test_a_link_out_of_the_base_is_left_out(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path, "base/deep/a.jpg", "base/b.jpg", "other/c.jpg")
    for link in ("base/latest", "base/deep/latest"):
        (tmp_path / link).symlink_to(tmp_path / "other")
    base = str(tmp_path / "base")
    rows = list_files(spark, base, suffixes=SUFFIXES, storage=Storage(base=base)).collect()
    assert sorted(row["path"] for row in rows) == [f"{base}/b.jpg", f"{base}/deep/a.jpg"]


def test_a_name_that_is_no_utf8_keeps_its_row(spark: SparkSession, tmp_path: Path) -> None:
    Path(tmp_path, os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    [row] = list_files(spark, str(tmp_path), suffixes=SUFFIXES).collect()
    assert row["path"] == f"{tmp_path}/caf?.jpg"
