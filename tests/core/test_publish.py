"""Good rows here, failed rows there, nothing when too many failed, and each row scored once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brightspark.core.errors import BudgetError, InputError, SettingError
from brightspark.core.publish import Published, _remove, publish
from tests.core.toy import ToyModel, counted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture
def texts(spark: SparkSession) -> DataFrame:
    """Nine texts of which three are broken."""
    names = [f"{'broken' if number % 3 == 0 else 'text'} {number}" for number in range(9)]
    return spark.createDataFrame([(name,) for name in names], "text string").repartition(2)


def ids(spark: SparkSession, path: Path) -> list[str]:
    return sorted(row["text"] for row in spark.read.parquet(str(path)).collect())


@pytest.mark.slow
def test_good_and_failed_rows_go_apart_and_are_scored_once(
    spark: SparkSession, texts: DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    model = ToyModel.make(tmp_path / "toy", log=str(tmp_path / "log"))
    scored = model.transform(texts)
    out, bad = tmp_path / "out", tmp_path / "bad"
    done = publish(scored, str(out), str(bad), max_error_rate=0.5)
    assert done == Published(rows=9, errors=3, path=str(out), quarantine=str(bad))
    assert ids(spark, out) == [f"text {number}" for number in (1, 2, 4, 5, 7, 8)]
    assert ids(spark, bad) == ["broken 0", "broken 3", "broken 6"]
    assert counted(tmp_path / "log", "predict") == 6
    good = spark.read.parquet(str(out))
    assert good.schema.names == scored.columns
    assert good.schema["prediction"].metadata == scored.schema["prediction"].metadata
    assert {row["error"] for row in good.collect()} == {None}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "log", "out", "toy"]


@pytest.fixture
def scored(spark: SparkSession) -> DataFrame:
    """Nine rows of which three failed."""
    rows = [(str(number), None if number % 3 else f"ValueError: reason {number // 6}") for number in range(9)]
    return spark.createDataFrame(rows, "text string, error string")


def test_too_many_errors_publish_nothing_and_lose_nothing(
    spark: SparkSession, scored: DataFrame, tmp_path: Path
) -> None:
    out, bad = tmp_path / "out", tmp_path / "bad"
    with pytest.raises(BudgetError, match=r"3 of 9 rows failed, more than the 10\.00%") as caught:
        publish(scored, str(out), str(bad), max_error_rate=0.1)
    said = str(caught.value)
    assert "2 × ValueError: reason 0; 1 × ValueError: reason 1" in said
    assert "parquet('file:" in said, "where it is as Spark knows it, whichever storage is the default"
    assert not out.exists()
    assert not bad.exists()
    # What the message advises works as it stands there.
    advice = said[said.index("publish(spark") : said.index(" publishes it")].replace("…", f"{str(out)!r}, {str(bad)!r}")
    done: Any = eval(advice, {"publish": publish, "spark": spark})
    assert (done.rows, done.errors) == (9, 3)
    assert (len(ids(spark, out)), len(ids(spark, bad))) == (6, 3)


def test_the_budget_is_met_exactly(spark: SparkSession, tmp_path: Path) -> None:
    """29 of 100 are 0.29, though 0.29 * 100 is less than 29."""
    rows = spark.range(100).selectExpr("id", "if(id < 29, 'ValueError: no', null) AS error")
    out, bad = str(tmp_path / "out"), str(tmp_path / "bad")
    assert publish(rows, out, bad, max_error_rate=0.29).errors == 29
    with pytest.raises(BudgetError, match="29 of 100"):
        publish(rows, out, bad, max_error_rate=0.28, mode="overwrite")


def test_who_reads_the_folder_around_it_sees_published_rows_only(
    spark: SparkSession, scored: DataFrame, tmp_path: Path
) -> None:
    table = tmp_path / "answers"
    publish(scored, str(table / "date=2024-01-01"), str(tmp_path / "bad"), max_error_rate=0.5)
    with pytest.raises(BudgetError, match="is kept"):
        publish(scored, str(table / "date=2024-01-02"), str(tmp_path / "worse"), max_error_rate=0.1)
    seen = spark.read.parquet(str(table)).collect()
    assert {str(row["date"]) for row in seen} == {"2024-01-01"}
    assert len(seen) == 6


@pytest.mark.parametrize("name", ["my answers", "100%20", "a=b"])
def test_what_was_scored_is_deleted_whatever_the_folder_is_called(
    spark: SparkSession, scored: DataFrame, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        publish(scored, f"{tmp_path}/{name}/out/", str(tmp_path / "bad"), max_error_rate=0.5)
    assert [path.name for path in (tmp_path / name).iterdir()] == ["out"]
    assert not [record.getMessage() for record in caplog.records if record.name.startswith("brightspark")]


def test_a_folder_that_the_workers_do_not_see_is_not_taken_for_deleted(spark: SparkSession, tmp_path: Path) -> None:
    assert _remove(spark, str(tmp_path / "gone")) == "the workers see no such folder"
    assert "'http'" in str(_remove(spark, "http://host/x"))


def test_a_scoring_that_fails_leaves_nothing(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.range(9).selectExpr(
        "if(id = 8, raise_error('cannot be scored'), id) AS id", "CAST(null AS string) AS error"
    )
    with pytest.raises(Exception, match="cannot be scored"):
        publish(rows, str(tmp_path / "out"), str(tmp_path / "bad"))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_says_what_is_done_and_how_to_go_on(
    spark: SparkSession, scored: DataFrame, tmp_path: Path
) -> None:
    out, bad = tmp_path / "out", tmp_path / "bad"
    out.write_text("a file is in the way")
    with pytest.raises(Exception, match=str(out)) as caught:
        publish(scored, str(out), str(bad), max_error_rate=0.5, mode="append")
    [said] = caught.value.__notes__
    assert said.startswith(f"the failed rows are in {bad} already")
    assert said.endswith(f"delete what the failed write has left in {out}, if anything")
    out.unlink()
    eval(said[said.index("spark.read") : said.index(". First delete")], {"spark": spark})
    assert (len(ids(spark, out)), len(ids(spark, bad))) == (6, 3)


@pytest.mark.parametrize("taken", ["out", "bad"])
def test_what_is_there_is_refused_before_any_work(
    spark: SparkSession, texts: DataFrame, tmp_path: Path, taken: str
) -> None:
    (tmp_path / "log").mkdir()
    model = ToyModel.make(tmp_path / "toy", log=str(tmp_path / "log"))
    (tmp_path / taken).mkdir()
    (tmp_path / taken / "mine").write_text("keep")
    with pytest.raises(InputError, match=f"{taken} exists already"):
        publish(model.transform(texts), str(tmp_path / "out"), str(tmp_path / "bad"), max_error_rate=1)
    assert counted(tmp_path / "log", "predict") == 0
    assert (tmp_path / taken / "mine").read_text() == "keep"


@pytest.mark.slow
def test_overwrite_replaces_and_append_adds(spark: SparkSession, scored: DataFrame, tmp_path: Path) -> None:
    out, bad = tmp_path / "out", tmp_path / "bad"
    for mode, times in (("error", 1), ("append", 2), ("overwrite", 1)):
        publish(scored, str(out), str(bad), max_error_rate=0.5, mode=mode)
        assert (len(ids(spark, out)), len(ids(spark, bad))) == (6 * times, 3 * times)
    # Even over the table that is read.
    again = spark.read.parquet(str(out)).limit(4)
    publish(again, str(out), str(bad), mode="overwrite")
    assert (len(ids(spark, out)), len(ids(spark, bad))) == (4, 0)


def test_an_empty_table_is_published(spark: SparkSession, scored: DataFrame, tmp_path: Path) -> None:
    done = publish(scored.filter("false"), str(tmp_path / "out"), str(tmp_path / "bad"), max_error_rate=0)
    assert (done.rows, done.errors) == (0, 0)
    assert spark.read.parquet(str(tmp_path / "out")).columns == ["text", "error"]


def test_another_name_for_the_error_and_another_format(spark: SparkSession, scored: DataFrame, tmp_path: Path) -> None:
    named = scored.withColumnRenamed("error", "what went wrong")
    out, bad = str(tmp_path / "out"), str(tmp_path / "bad")
    publish(named, out, bad, error="what went wrong", format="json", max_error_rate=0.5)
    assert spark.read.json(bad).count() == 3


def test_wrong_calls_are_refused(scored: DataFrame, tmp_path: Path) -> None:
    out, bad = str(tmp_path / "out"), str(tmp_path / "bad")
    with pytest.raises(InputError, match="no column 'errors'; did you mean 'error'"):
        publish(scored, out, bad, error="errors")
    with pytest.raises(SettingError, match=r"max_error_rate=1\.5"):
        publish(scored, out, bad, max_error_rate=1.5)
    with pytest.raises(SettingError, match="mode='overwritten' is unknown; did you mean 'overwrite'"):
        publish(scored, out, bad, mode="overwritten")
    for quarantine in (out, f"{out}/", f"file://{out}/bad", str(tmp_path)):
        with pytest.raises(InputError, match="neither in the other"):
            publish(scored, out, quarantine, mode="overwrite")
    assert list(tmp_path.iterdir()) == []
