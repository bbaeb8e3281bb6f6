"""`read_audio` and `with_facts`: folders, tables and manifests of recordings, of which no row is lost."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brightspark.core.errors import InputError
from brightspark.speech import read_audio, with_facts
from tests.speech.sounds import chirp, encoded, mp3, of_unknown_length, without_length

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAMES = ["plain.wav", "with space.flac", "comma, comma.ogg", "Grüße 你好.opus", "100%25.mp3", "a#b?c.aiff", "UPPER.WAV",
         "two\nlines.wave", "[x]*{y}.caf", 'quo"te\'s.au', "back\\slash.sph"]  # fmt: skip
SOUND = encoded(chirp(0.2))
LISTED = ["path", "size", "modified", "label"]
FACTS = ("rate", "channels", "duration", "format", "encoding", "error")


def save(path: Path, content: bytes = SOUND) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def save_table(spark: SparkSession, path: Path, rows: list[dict[str, Any]]) -> str:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".json":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        spark.createDataFrame([tuple(row.values()) for row in rows], list(rows[0])).write.parquet(str(path))
    return str(path)


def paths(frame: DataFrame) -> list[str]:
    return sorted(row["path"] for row in frame.select("path").collect())


def by_path(frame: DataFrame, *columns: str) -> dict[str, tuple[Any, ...]]:
    rows = frame.select("path", *columns).collect()
    found = {row["path"]: tuple(row)[1:] for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings with difficult names."""
    for name in NAMES:
        save(tmp_path / "sounds" / name)
    return tmp_path / "sounds"


class TestFolders:
    def test_a_tree_with_labels(self, spark: SparkSession, tmp_path: Path) -> None:
        yes = save(tmp_path / "sounds" / "yes" / "1.wav")
        no = save(tmp_path / "sounds" / "words" / "no" / "2.FLAC")
        top = save(tmp_path / "sounds" / "3.mp3")
        for other in ("yes/notes.txt", "yes/film.mp4", "list.csv", "yes/.hidden.wav", "_temporary/5.wav"):
            save(tmp_path / "sounds" / other)
        frame = read_audio(spark, str(tmp_path / "sounds"))
        assert frame.columns == LISTED
        found = by_path(frame, "label", "size", "modified")
        assert {path: row[0] for path, row in found.items()} == {str(yes): "yes", str(no): "no", str(top): None}
        _, size, modified = found[str(yes)]
        assert size == len(SOUND)
        seconds = modified.astimezone(UTC) - datetime.fromtimestamp(yes.stat().st_mtime, UTC)
        assert abs(seconds.total_seconds()) < 1

    def test_difficult_names_can_be_opened(self, spark: SparkSession, folder: Path) -> None:
        frame = read_audio(spark, str(folder))
        assert paths(frame) == sorted(str(folder / name) for name in NAMES)
        assert set(by_path(with_facts(frame), "error").values()) == {(None,)}

    def test_what_nobody_reads_keeps_its_row_and_a_hint(self, spark: SparkSession, tmp_path: Path) -> None:
        file = save(tmp_path / "phone" / "1.m4a", b"\0\0\0\x20ftypM4A " + bytes(99))
        (row,) = with_facts(read_audio(spark, str(tmp_path / "phone"))).collect()
        assert row["path"] == str(file)
        assert "this is MP4 (M4A, AAC), which is not read here: convert it" in row["error"]

    def test_an_empty_folder(self, spark: SparkSession, tmp_path: Path) -> None:
        frame = read_audio(spark, str(tmp_path))
        assert frame.columns == LISTED
        assert frame.collect() == []

    def test_a_single_recording(self, spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        for named in ("plain.wav", str(folder / "plain.wav")):
            (row,) = with_facts(read_audio(spark, named)).collect()
            assert (row["path"], row["rate"], row["error"]) == (str(folder / "plain.wav"), 16_000, None)

    def test_what_is_not_there(self, spark: SparkSession, tmp_path: Path) -> None:
        """On Connect, whose server may see other storage than the client, a folder raises by its first action."""
        from pyspark.errors import PySparkException
        from pyspark.sql.utils import is_remote

        with pytest.raises((InputError, PySparkException), match="there is no folder"):
            read_audio(spark, str(tmp_path / "nowhere")).collect()
        if not is_remote():
            with pytest.raises(InputError, match=r"there is no recording .*nowhere\.wav"):
                read_audio(spark, str(tmp_path / "nowhere.wav"))

    def test_a_folder_that_is_called_like_a_recording(self, spark: SparkSession, tmp_path: Path) -> None:
        from pyspark.sql.utils import is_remote

        file = save(tmp_path / "old.wav" / "1.wav")
        if not is_remote():
            assert paths(read_audio(spark, str(tmp_path / "old.wav"))) == [str(file)]

    def test_a_scheme_that_is_not_allowed(self, spark: SparkSession) -> None:
        for named in ("http://127.0.0.1:9/sounds", "http://127.0.0.1:9/1.wav"):
            with pytest.raises(OSError, match=r"'http' .* is not allowed"):
                read_audio(spark, named)


class TestTables:
    @pytest.mark.parametrize("relative", [True, False])
    @pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
    def test_paths(self, kind: str, relative: bool, spark: SparkSession, folder: Path) -> None:
        rows = [{"path": name if relative else str(folder / name), "age": age} for age, name in enumerate(NAMES)]
        frame = read_audio(spark, save_table(spark, folder / f"list.{kind}", rows))
        assert set(frame.columns) == {"path", "age"}
        found = by_path(with_facts(frame), "age", "error")
        assert found == {str(folder / name): (age, None) for age, name in enumerate(NAMES)}

    def test_bytes(self, spark: SparkSession, folder: Path) -> None:
        rows = [(name, bytearray((folder / name).read_bytes())) for name in NAMES]
        spark.createDataFrame(rows, "name string, content binary").write.parquet(str(folder / "bytes"))
        frame = read_audio(spark, str(folder / "bytes"), format="parquet")
        assert frame.columns == ["name", "content"]
        assert sorted((row["name"], row["rate"], row["error"]) for row in with_facts(frame).collect()) == sorted(
            (name, 16_000, None) for name in NAMES
        )

    def test_binary_file(self, spark: SparkSession, folder: Path) -> None:
        """Spark's own format for folders: paths with a scheme, and the bytes, which are what is read."""
        rows = with_facts(read_audio(spark, str(folder), format="binaryFile")).collect()
        assert [row["duration"] for row in rows] == [pytest.approx(0.2)] * len(NAMES)

    def test_a_description_is_no_recording(self, spark: SparkSession, folder: Path) -> None:
        (folder / "list.csv").write_text("path,content\nplain.wav,a bell\n")
        frame = read_audio(spark, str(folder / "list.csv"))
        assert by_path(with_facts(frame), "error") == {str(folder / "plain.wav"): (None,)}

    def test_paths_with_a_scheme_and_nulls_stay(self, spark: SparkSession, tmp_path: Path) -> None:
        held = ["s3://bucket/a b.wav", "file:///data/1.wav", "/data/2.wav", None, "sub/3.wav"]
        spark.createDataFrame([(path,) for path in held], "path string").write.parquet(str(tmp_path / "t.parquet"))
        found = {row["path"] for row in read_audio(spark, str(tmp_path / "t.parquet")).collect()}
        assert found == {*held[:-1], str(tmp_path / "sub" / "3.wav")}

    def test_neither_path_nor_content(self, spark: SparkSession, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("file,label\na.wav,yes\n")
        with pytest.raises(InputError, match=r"neither a column 'path' nor 'content'; there are 'file', 'label'"):
            read_audio(spark, str(tmp_path / "list.csv"))

    def test_numbers_are_no_paths(self, spark: SparkSession, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("path,label\n1,yes\n")
        with pytest.raises(InputError, match="the column 'path' is integer; recordings are binary, their paths"):
            read_audio(spark, str(tmp_path / "list.csv"))


class TestManifests:
    @pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
    def test_nobody_is_lost(self, kind: str, spark: SparkSession, folder: Path, tmp_path: Path) -> None:
        """Files without a line, and lines without a file."""
        silent, *named = NAMES
        rows = [{"path": name, "text": f"say {name}", "age": age} for age, name in enumerate([*named, "gone.wav"])]
        frame = read_audio(spark, str(folder), manifest=save_table(spark, tmp_path / f"list.{kind}", rows))
        assert set(frame.columns) == {*LISTED, "reference", "age"}
        assert frame.columns[:4] == LISTED
        found = by_path(with_facts(frame), "reference", "age", "size", "error")
        assert found.pop(str(folder / silent)) == (None, None, len(SOUND), None)
        reference, age, size, error = found.pop(str(folder / "gone.wav"))
        assert (reference, age, size) == ("say gone.wav", len(named), None)
        assert "there is no file" in error
        assert found == {str(folder / name): (f"say {name}", age, len(SOUND), None) for age, name in enumerate(named)}

    def test_paths_as_people_write_them(
        self, spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "list.csv").write_text(
            f"path,text\n./plain.wav,one\nfile://{folder}/UPPER.WAV,two\n{folder}/a#b?c.aiff,three\n"
            '"with space.flac",4\n'
        )
        monkeypatch.chdir(folder)
        frame = read_audio(spark, ".", manifest="list.csv")
        assert frame.count() == len(NAMES)
        said = {Path(path).name: text for path, (text,) in by_path(frame, "reference").items() if text}
        assert said == {"plain.wav": "one", "UPPER.WAV": "two", "a#b?c.aiff": "three", "with space.flac": "4"}

    def test_spoken_numbers_are_texts(self, spark: SparkSession, folder: Path) -> None:
        (folder / "list.csv").write_text("path,text\nplain.wav,12\n")
        frame = read_audio(spark, str(folder), manifest=str(folder / "list.csv"))
        assert dict(frame.dtypes)["reference"] == "string"
        assert by_path(frame, "reference")[str(folder / "plain.wav")] == ("12",)

    def test_what_both_have_is_the_manifests(self, spark: SparkSession, tmp_path: Path) -> None:
        file = save(tmp_path / "sounds" / "speaker" / "1.wav")
        (tmp_path / "list.csv").write_text("path,label\nspeaker/1.wav,yes\n")
        frame = read_audio(spark, str(tmp_path / "sounds"), manifest=str(tmp_path / "list.csv"))
        assert by_path(frame, "label", "size") == {str(file): ("yes", len(SOUND))}

    def test_several_lines_are_several_rows(self, spark: SparkSession, tmp_path: Path) -> None:
        save(tmp_path / "sounds" / "1.wav")
        (tmp_path / "list.csv").write_text("path,text\n1.wav,one\n1.wav,two\n,three\n")
        frame = read_audio(spark, str(tmp_path / "sounds"), manifest=str(tmp_path / "list.csv"))
        rows = with_facts(frame).select("reference", "size", "error").collect()
        assert sorted((row["reference"], row["size"], row["error"]) for row in rows) == [
            ("one", len(SOUND), None),
            ("three", None, "InputError: there is no recording: the value is null"),
            ("two", len(SOUND), None),
        ]

    def test_what_is_none(self, spark: SparkSession, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("file,text\nplain.wav,one\n")
        (tmp_path / "table.csv").write_text("path,text\nplain.wav,one\n")
        with pytest.raises(InputError, match=r"list\.csv has no column 'path'; there are 'file', 'text'"):
            read_audio(spark, str(folder), manifest=str(tmp_path / "list.csv"))
        for named in (folder / "plain.wav", tmp_path / "table.csv"):
            with pytest.raises(InputError, match="a manifest goes with a folder of recordings"):
                read_audio(spark, str(named), manifest=str(tmp_path / "table.csv"))


class TestFacts:
    def test_of_every_kind(self, spark: SparkSession, tmp_path: Path) -> None:
        kinds = {
            "a.wav": (encoded(chirp(0.5, 8_000), 8_000, subtype="ULAW"), (8_000, 1, 0.5, "WAV", "ULAW")),
            "b.wav": (
                encoded(chirp(1, 96_000, channels=6), 96_000, "WAVEX", "PCM_24"),
                (96_000, 6, 1.0, "WAV", "PCM_24"),
            ),
            "c.flac": (encoded(chirp(2, channels=2), format="FLAC"), (16_000, 2, 2.0, "FLAC", "PCM_16")),
            "d.ogg": (encoded(chirp(2), format="OGG", subtype="VORBIS"), (16_000, 1, 2.0, "OGG", "VORBIS")),
            "e.opus": (encoded(chirp(2), format="OGG", subtype="OPUS"), (16_000, 1, 2.0, "OGG", "OPUS")),
            "f.mp3": (mp3(chirp(3)), (16_000, 1, 3.0, "MP3", "MPEG_LAYER_III")),
            "g.mp3": (without_length(mp3(chirp(3))), (16_000, 1, pytest.approx(3, abs=0.15), "MP3", "MPEG_LAYER_III")),
            "h.flac": (of_unknown_length(encoded(chirp(2), format="FLAC")), (16_000, 1, None, "FLAC", "PCM_16")),
        }
        for name, (content, _) in kinds.items():
            save(tmp_path / name, content)
        frame = with_facts(read_audio(spark, str(tmp_path)))
        assert frame.columns == [*LISTED, *FACTS]
        found = by_path(frame, *FACTS)
        assert {Path(path).name: row for path, row in found.items()} == {
            name: (*facts, None) for name, (_, facts) in kinds.items()
        }

    def test_what_cannot_be_read_keeps_its_row(self, spark: SparkSession, tmp_path: Path) -> None:
        broken = {
            "empty.wav": (b"", "this is no sound: the file has 0 bytes"),
            "text.wav": (b"hello, hello", "this is no sound that can be read: it starts with b'hello, hello'"),
            "header.wav": (SOUND[:30], "its header is damaged or cut"),
            "cut.wav": (encoded(chirp(2))[:32_000], "it is cut: its header says 2.00 s, and 1.00 s are there"),
            "none.wav": (encoded(chirp(0)), "it has no samples"),
        }
        for name, (content, _) in broken.items():
            save(tmp_path / name, content)
        save(tmp_path / "good.wav")
        found = {
            Path(path).name: row for path, row in by_path(with_facts(read_audio(spark, str(tmp_path))), *FACTS).items()
        }
        assert found.pop("good.wav") == (16_000, 1, pytest.approx(0.2), "WAV", "PCM_16", None)
        for name, (_, reason) in broken.items():
            *facts, error = found[name]
            assert facts == [None] * 5
            assert error.startswith(f"InputError: {reason}")
            assert name in error

    def test_a_prefix(self, spark: SparkSession, folder: Path) -> None:
        frame = read_audio(spark, str(folder))
        once = with_facts(frame, prefix="audio_")
        assert once.columns == [*LISTED, *(f"audio_{name}" for name in FACTS)]
        assert once.where("audio_duration < 1").count() == len(NAMES)
        with pytest.raises(InputError, match="a column 'audio_rate' already; drop it, or put a prefix"):
            with_facts(once, prefix="audio_")

    def test_a_column_that_is_named(self, spark: SparkSession, folder: Path) -> None:
        frame = read_audio(spark, str(folder)).withColumnRenamed("path", "sound")
        assert with_facts(frame, input_col="sound").where("error is null").count() == len(NAMES)
        with pytest.raises(InputError, match="did you mean 'sound'"):
            with_facts(frame, input_col="sounds")
        with pytest.raises(InputError, match="neither a column 'path' nor 'content'"):
            with_facts(frame)

    def test_base_and_schemes(self, spark: SparkSession, folder: Path, tmp_path: Path) -> None:
        frame = read_audio(spark, str(folder))
        for options, reason in (
            ({"base": str(tmp_path / "other")}, "is outside"),
            ({"schemes": ("s3",)}, "is not allowed"),
        ):
            errors = by_path(with_facts(frame, **options), "error").values()  # type: ignore[arg-type]
            assert all(reason in error for (error,) in errors)
