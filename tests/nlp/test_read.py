"""Texts as a DataFrame: tables, folders, encodings; and what is cleaned where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brightspark.core.errors import InputError
from brightspark.nlp import read_texts
from brightspark.nlp.clean import cleaned
from brightspark.nlp.files import decoded

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_table_keeps_its_columns(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "glad", "label": "x"}\n{"text": null, "label": "y"}\n')
    rows = read_texts(spark, str(tmp_path / "texts.jsonl"))
    assert sorted(rows.columns) == ["label", "text"]
    assert sorted((row["label"], row["text"]) for row in rows.collect()) == [("x", "glad"), ("y", None)]


def test_a_folder_gives_texts_by_label_and_says_what_cannot_be_read(spark: SparkSession, tmp_path: Path) -> None:
    contents = {
        "good/utf8.txt": "grün".encode(), "good/mark.txt": "grün".encode("utf-16"), "bad/empty.txt": b"",
        "bad/one.txt": b"one \xff byte in many", "bad/picture.txt": bytes(range(256)) * 4,
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    rows = {Path(row["path"]).stem: row for row in read_texts(spark, str(tmp_path)).collect()}
    assert {name: (row["label"], row["text"]) for name, row in rows.items()} == {
        "utf8": ("good", "grün"), "mark": ("good", "grün"), "one": ("bad", "one \ufffd byte in many"),
        "picture": ("bad", None), "empty": ("bad", ""),
    }  # fmt: skip
    assert "no text" in rows["picture"]["read_error"]
    assert all(row["read_error"] is None for name, row in rows.items() if name != "picture")


def test_texts_in_a_binary_column_are_decoded(spark: SparkSession, tmp_path: Path) -> None:
    spark.createDataFrame([(1, "grün".encode("cp1252")), (2, None)], "id int, text binary").write.parquet(
        str(tmp_path / "table.parquet")
    )
    rows = read_texts(spark, str(tmp_path / "table.parquet"), encoding="cp1252").orderBy("id").collect()
    assert [row["text"] for row in rows] == ["grün", None]
    assert "null" in rows[1]["read_error"]


def test_other_names_are_told(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"texts": "glad"}\n')
    with pytest.raises(InputError, match="did you mean 'texts'"):
        read_texts(spark, str(tmp_path / "texts.jsonl"))
    assert read_texts(spark, str(tmp_path / "texts.jsonl"), text_col="texts").count() == 1
    with pytest.raises(InputError, match="utf-9"):
        read_texts(spark, str(tmp_path), encoding="utf-9")


def test_a_cut_utf16_and_a_wrong_encoding() -> None:
    assert decoded("ein grünes Haus".encode("utf-16") + b"\x00") == "ein grünes Haus\ufffd"
    with pytest.raises(InputError, match="another encoding"):
        decoded("при́вет мир".encode("cp1251", "ignore"))


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("a \x07bell\x00", {}, "a bell"),
        ("  many \u00a0\u2003 spaces\n\n", {}, "many spaces"),
        ("<p class='x'>1 &lt; 2 &amp;&amp; <b>so</b></p><script>x<y</script>", {"html": True}, "1 < 2 && so"),
        ("&amp;lt;", {"html": True}, "&lt;"),
        ("3 < 4 and 5 > 4", {"html": True}, "3 < 4 and 5 > 4"),
        ("see https://x.org/a?b=$1 now", {"urls": "$URL"}, "see $URL now"),
        ("@anna mails a@b.c", {"mentions": "@user"}, "@user mails a@b.c"),
        (None, {"html": True}, None),
    ],
)  # fmt: skip
def test_cleaning(spark: SparkSession, text: str | None, settings: dict[str, Any], expected: str | None) -> None:
    (row,) = spark.createDataFrame([(text,)], "text string").select(cleaned("text", **settings).alias("t")).collect()
    assert row["t"] == expected
