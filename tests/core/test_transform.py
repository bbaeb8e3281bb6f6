"""Scoring on Spark: how often a row is scored and a model loaded, what travels, and what fails how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from brightspark.core.errors import InputError
from tests.core.toy import ToyModel, counted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 60


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


@pytest.fixture
def table(spark: SparkSession) -> DataFrame:
    rows = [(number, f"text {number}") for number in range(ROWS)]
    return spark.createDataFrame(rows, "id long, text string").repartition(3, "id")


@pytest.fixture
def model(tmp_path: Path, log: Path) -> ToyModel:
    return ToyModel.make(tmp_path / "model", log=str(log))


def score(model: ToyModel, table: DataFrame) -> DataFrame:
    scored: DataFrame = model.transform(table)
    return scored


ONCE: dict[str, Callable[[DataFrame, str], Any]] = {
    "filter on an answer": lambda scored, path: scored.filter("prediction = 'north'").collect(),
    "filter on the error": lambda scored, path: scored.filter("error is null and id < 1000").count(),
    "select all": lambda scored, path: scored.select("*").collect(),
    "fields of an answer": lambda scored, path: scored.select("id", F.col("probability")[0], "prediction").collect(),
    "join": lambda scored, path: scored.join(scored.sparkSession.range(ROWS), "id").collect(),
    "aggregate": lambda scored, path: scored.groupBy("prediction").agg(F.count("*"), F.max("id")).collect(),
    "cache, then two actions": lambda scored, path: [scored.cache().count(), scored.orderBy("prediction").collect()],
    "write": lambda scored, path: scored.write.parquet(path),
    "partitioned write": lambda scored, path: scored.write.partitionBy("prediction").parquet(path),
}


@pytest.mark.parametrize("action", ONCE)
def test_each_row_is_scored_once(action: str, model: ToyModel, table: DataFrame, log: Path, tmp_path: Path) -> None:
    ONCE[action](score(model, table), str(tmp_path / "out"))
    assert counted(log, "predict") == ROWS


def test_what_costs_more_is_as_documented(model: ToyModel, table: DataFrame, log: Path) -> None:
    score(model, table).orderBy("prediction").collect()
    assert counted(log, "predict") == 2 * ROWS  # range partitioning samples first
    score(model, table).filter("id = 1").collect()
    assert counted(log, "predict") == 3 * ROWS  # not pushed below the model
    score(model, table.filter("id = 1")).collect()
    assert counted(log, "predict") == 3 * ROWS + 1


def test_columns_that_are_not_asked_for_cost_nothing(model: ToyModel, table: DataFrame, log: Path) -> None:
    score(model, table).select("id").collect()
    assert counted(log, "predict") == 0


def test_a_worker_loads_a_model_once_however_often_the_dataframe_is_rebuilt(
    model: ToyModel, table: DataFrame, log: Path
) -> None:
    for _ in range(5):
        score(model, table).collect()
        score(model.copy(), table).filter("error is null").collect()
    loads = [len(file.read_text().splitlines()) for file in log.glob("load-*")]
    assert loads, "no worker wrote its log"
    assert set(loads) == {1}


def test_the_udf_is_small(tmp_path: Path, table: DataFrame) -> None:
    from pyspark.serializers import CloudPickleSerializer

    from brightspark.core.artifact import open_artifact, writing
    from brightspark.core.transform import _udf

    with writing(tmp_path / "wide", kind="toy", labels=[f"label {number}" for number in range(22_000)]) as made:
        (made / "toy.json").write_text('{"labels": []}')
    model = ToyModel(open_artifact(tmp_path / "wide"))
    udf = _udf(model._scoring(table))
    assert len(CloudPickleSerializer().dumps((udf.func, udf.returnType))) < 100_000


def test_the_work_leaves_the_workers_as_numbers(model: ToyModel, spark: SparkSession) -> None:
    rows = [(f"text {number}" if number % 10 else "broken",) for number in range(100)]
    scored, observation = model.measure(spark.createDataFrame(rows, "text string").repartition(4))
    scored.write.format("noop").mode("overwrite").save()
    work = observation.get
    assert (work["records"], work["errors"], work["pieces"]) == (100, 10, 90)
    assert work["cost"] == work["padded_cost"] == 90
    assert work["batches"] >= 4
    assert 0 < work["model_seconds"] < 60


def test_a_poisoned_record_fails_alone(tmp_path: Path, spark: SparkSession) -> None:
    model = ToyModel.make(tmp_path / "model", fault="poisoned")
    rows = model.transform(spark.createDataFrame([(f"text {n}",) for n in range(40)], "text string")).collect()
    assert {row["text"]: row["error"] for row in rows if row["error"]} == {
        "text 13": "RuntimeError: this one is poison"
    }


@pytest.mark.parametrize(
    ("fault", "message"), [("dead", "no kernel for this device"), ("greedy", "must give one for each")]
)
def test_a_broken_model_fails_the_job(fault: str, message: str, tmp_path: Path, table: DataFrame) -> None:
    model = ToyModel.make(tmp_path / "model", fault=fault)
    with pytest.raises(Exception, match=message):
        model.transform(table).collect()


def test_columns_are_checked_before_any_work(model: ToyModel, spark: SparkSession) -> None:
    with pytest.raises(InputError, match=r"no column 'text'; did you mean 'texts'"):
        model.transform(spark.createDataFrame([("a",)], "texts string"))
    for name in ("prediction", "Prediction"):  # Spark does not tell them apart
        with pytest.raises(InputError, match=r"'prediction' already"):
            model.transform(spark.createDataFrame([("a", "b")], f"text string, {name} string"))


def test_columns_of_any_name_stay(model: ToyModel, spark: SparkSession) -> None:
    table = spark.createDataFrame([("a", 1, 2)], "text string, `a.b` int, `with ``tick` int")
    assert model.transform(table).columns[:3] == ["text", "a.b", "with `tick"]


def test_arrow_batches_are_bounded_in_bytes(spark: SparkSession, model: ToyModel, table: DataFrame) -> None:
    import pyarrow as pa

    score(model, table)  # bounds them, in whatever session

    def sizes(batches: Any) -> Any:
        for batch in batches:
            yield pa.array([batch.nbytes] * len(batch), pa.int64())

    sizes.__annotations__ = {"batches": "Iterator[pa.Array]", "return": "Iterator[pa.Array]"}
    from collections.abc import Iterator

    sizes.__globals__.update(Iterator=Iterator, pa=pa)
    large = spark.range(200, numPartitions=1).select(F.expr("cast(repeat('x', 1000000) as binary)").alias("content"))
    seen = large.select(F.arrow_udf(sizes, "long")("content").alias("bytes")).distinct().collect()
    assert max(row["bytes"] for row in seen) <= (64 << 20) + 2_000_000


def test_an_artifact_that_was_changed_on_its_way_is_refused(tmp_path: Path, table: DataFrame) -> None:
    model = ToyModel.make(tmp_path / "model", ["up", "down", "left", "right"])
    (tmp_path / "model" / "toy.json").write_text('{"labels": ["up", "down", "left", "wrong"]}')
    with pytest.raises(Exception, match=r"toy\.json .*was changed"):
        model.transform(table).collect()
