"""`SolutionContract`: what every solution's model must do on Spark, as tests that a solution runs on its own model.

Subclass it in a test module, give it a small real model, records and the domain library's own answers, and pytest does
the rest, on whichever session the `spark` fixture gives:

    class TestImageClassifier(SolutionContract):
        def model(self, folder): ...
        def records(self, folder): ...
        def reference(self, records): ...

Each test names one promise. A predictor that drops, reorders, repeats or mixes records gives plausible answers all the
same; each of these is caught by the one test that is named after it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.model import ScoringModel

Answer = tuple[str, Sequence[float]]

PARTITIONS = 3
GOOD_RECORDS = 200


class SolutionContract:
    """The tests of one model. Methods without `test_` are what a solution fills in."""

    library_tolerance = 1e-4
    """How far a number may be from the domain library's own."""

    batch_tolerance = 1e-5
    """How far a number may move with the batch that its record was in: float rounding, nothing else."""

    no_estimator: str | None = None
    """Why there is no estimator, where there is none."""

    def model(self, folder: Path) -> ScoringModel[Any]:
        """A small real model; `folder` is empty and stays for all tests."""
        raise NotImplementedError

    def records(self, folder: Path) -> list[dict[str, Any]]:
        """At least 200 good records that differ from one another, as rows of the model's input columns."""
        raise NotImplementedError

    def broken(self, folder: Path) -> list[dict[str, Any]]:
        """At least three records that cannot be answered, none of them null."""
        raise NotImplementedError

    def schema(self) -> str:
        """The input columns and their types, as Spark writes them."""
        return "path string"

    def reference(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """The domain library's own answers: the label, and the numbers behind it."""
        raise NotImplementedError

    def answer(self, row: Any) -> Answer:
        """The same, from a row that `transform` gave."""
        return row["prediction"], row["probability"]

    def expected_pieces(self, records: Sequence[Mapping[str, Any]]) -> int:
        """How many pieces the model must see for these records: one each, unless the domain splits them."""
        return len(records)

    # What the tests share.

    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Bench:
        """The model, the records and their answers, made once for all tests of the class."""
        return Bench(cls(), spark, tmp_path_factory.mktemp("contract"))

    # The tests.

    def test_settings_round_trip(self, bench: Bench) -> None:
        """Settings are documented, survive a copy, change without touching the original, and have no unknown names."""
        model = bench.model
        assert model.copy().settings == model.settings
        for param in model.params:
            assert param.doc, f"{param.name} is not documented"
            assert param.name in model.explainParams()
        changed = model.copy({model.getParam("batch_size"): 3})
        assert changed.settings.batch_size == 3
        assert model.settings.batch_size != 3
        with pytest.raises(SettingError, match="batch_size"):
            type(model)(model.artifact, batch_sise=3)

    def test_artifact_round_trip(self, bench: Bench, tmp_path: Path) -> None:
        """A saved model loads with the same settings, labels, files and answers; nothing is overwritten unasked."""
        path = str(tmp_path / "saved")
        bench.model.save(path)
        loaded = type(bench.model).load(path)
        assert loaded.settings == bench.model.settings
        assert loaded.labels == bench.model.labels
        assert loaded.artifact.files == bench.model.artifact.files
        again = loaded.transform(bench.frame).collect()
        assert sorted(map(str, again)) == sorted(map(str, bench.scored))
        with pytest.raises(InputError, match="exists already"):
            bench.model.save(path)

    def test_empty_input_keeps_its_schema(self, bench: Bench) -> None:
        """No rows in, no rows out, and the columns as ever."""
        scored = bench.model.transform(bench.frame.limit(0))
        assert scored.collect() == []
        assert scored.columns[: len(bench.frame.columns)] == bench.frame.columns

    def test_null_records_get_an_error(self, bench: Bench) -> None:
        """A null keeps its row and gets an error."""
        nulls = bench.spark.createDataFrame(
            [(row, *[None] * bench.inputs) for row in range(5)], f"id long, {self.schema()}"
        )
        rows = bench.model.transform(nulls).collect()
        assert len(rows) == 5
        for name, source in bench.model.outputs().items():
            assert all(row[name] if source == "error" else row[name] is None for row in rows), name
        assert "error" in bench.model.outputs().values()

    def test_every_row_comes_back(self, bench: Bench) -> None:
        """No row is lost or changed, and a broken one says why in one line."""
        inputs = bench.frame.columns
        scored = sorted((tuple(row[column] for column in inputs) for row in bench.scored), key=repr)
        assert scored == sorted(map(tuple, bench.frame.collect()), key=repr)
        broken = [row["error"] for row in bench.scored if row["id"] in bench.broken_ids]
        assert len(broken) >= PARTITIONS
        assert all(error and "\n" not in error for error in broken)

    def test_good_records_are_answered(self, bench: Bench) -> None:
        """Catches a predictor that drops records."""
        failed = {row["id"]: row["error"] for row in bench.scored if row["error"] is not None}
        assert set(failed) == bench.broken_ids, failed

    def test_answers_are_the_librarys_own(self, bench: Bench) -> None:
        """Catches a predictor that gives records one another's answers."""
        for row in bench.answered():
            label, numbers = self.answer(row)
            wanted_label, wanted = bench.reference[row["id"]]
            np.testing.assert_allclose(numbers, wanted, atol=self.library_tolerance, rtol=0)
            close = sorted(wanted)[-2:]
            if len(close) < 2 or close[-1] - close[0] > self.library_tolerance:
                assert label == wanted_label

    def test_each_piece_is_predicted_once(self, bench: Bench) -> None:
        """Catches a predictor that does its work more than once."""
        assert bench.work["pieces"] == self.expected_pieces([dict(row.asDict()) for row in bench.answered()])
        assert bench.work["records"] == len(bench.scored)

    def test_one_partition_equals_many(self, bench: Bench) -> None:
        """Catches a predictor whose answer for a record depends on the others in its batch."""
        # In another order too: batches must not hold the same records by the chance of their size.
        shuffled = bench.frame.repartition(1).sortWithinPartitions(F.hash("id"))
        alone = bench.model.transform(shuffled).filter("error is null").collect()
        np.testing.assert_allclose(
            self._columns(alone), self._columns(bench.answered()), atol=self.batch_tolerance, rtol=0
        )

    def test_works_in_a_pipeline(self, bench: Bench, tmp_path: Path) -> None:
        """The model is a stage of a Pipeline, which saves and loads."""
        from pyspark.ml import Pipeline, PipelineModel

        fitted = Pipeline(stages=[bench.model]).fit(bench.frame)
        assert sorted(map(str, fitted.transform(bench.frame).collect())) == sorted(map(str, bench.scored))
        fitted.write().overwrite().save(str(tmp_path / "pipeline"))
        loaded = PipelineModel.load(str(tmp_path / "pipeline"))
        assert sorted(map(str, loaded.transform(bench.frame).collect())) == sorted(map(str, bench.scored))

    def test_works_in_a_cross_validator(self) -> None:
        """The estimator's settings can be searched by a CrossValidator."""
        if self.no_estimator is not None:
            pytest.skip(self.no_estimator)
        raise NotImplementedError("a solution with an estimator overrides this test")

    def test_scores_a_stream_of_files(self, bench: Bench, tmp_path: Path) -> None:
        """A streaming file source is scored like a table."""
        bench.frame.write.parquet(str(tmp_path / "in"))
        stream = bench.spark.readStream.schema(bench.frame.schema).parquet(str(tmp_path / "in"))
        query = (
            bench.model.transform(stream)
            .writeStream.format("parquet")
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .trigger(availableNow=True)
            .start(str(tmp_path / "out"))
        )
        try:
            assert query.awaitTermination(120)
        finally:
            query.stop()
        rows = bench.spark.read.parquet(str(tmp_path / "out")).collect()
        assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in bench.scored)
        answered = [row for row in rows if row["error"] is None]
        np.testing.assert_allclose(
            self._columns(answered), self._columns(bench.answered()), atol=self.library_tolerance, rtol=0
        )

    def _columns(self, rows: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Each number's values over all rows in order of size: equal for the same answers in whatever order."""
        return np.sort(np.array([self.answer(row)[1] for row in rows]), axis=0)


class Bench:
    """A contract's model and records, and what `transform` answers for them in three partitions."""

    def __init__(self, contract: SolutionContract, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.model = contract.model(_made(folder / "model"))
        good = contract.records(_made(folder / "records"))
        broken = contract.broken(_made(folder / "broken"))
        assert len(good) >= GOOD_RECORDS, f"the contract wants {GOOD_RECORDS} good records, there are {len(good)}"
        assert len(broken) >= PARTITIONS, "the contract wants a broken record for each partition"
        self.inputs = len(good[0])
        rows, self.broken_ids = _dealt(good, broken)
        answers = iter(contract.reference(good))
        self.reference = {number: next(answers) for number in range(len(rows)) if number not in self.broken_ids}
        self.frame = self._in_partitions(rows, contract.schema())
        scored, observation = self.model.measure(self.frame)
        self.scored: list[Any] = scored.collect()
        self.work: dict[str, Any] = observation.get

    def _in_partitions(self, rows: list[dict[str, Any]], schema: str) -> DataFrame:
        """The rows in three partitions, in an order that is the same at every action: nothing is shuffled."""
        numbered = [(number, *row.values()) for number, row in enumerate(rows)]
        table = self.spark.createDataFrame(numbered, f"id long, {schema}")
        frame = self.spark.range(0, len(rows), 1, PARTITIONS).join(F.broadcast(table), "id")
        assert frame.select(F.spark_partition_id()).distinct().count() == PARTITIONS
        return frame

    def answered(self) -> list[Any]:
        """The rows that have an answer."""
        return [row for row in self.scored if row["error"] is None]


def _dealt(good: Sequence[dict[str, Any]], broken: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], set[int]]:
    """All records in order, with some of the broken ones at the end of each partition, and the broken ones' numbers."""
    total = len(good) + len(broken)
    places = {
        (part + 1) * total // PARTITIONS - 1 - place: record
        for part in range(PARTITIONS)
        for place, record in enumerate(broken[part::PARTITIONS])
    }
    rest = iter(good)
    return [places[number] if number in places else next(rest) for number in range(total)], set(places)


def failed_tests(contract: SolutionContract, spark: SparkSession, folder: Path) -> set[str]:
    """The names of the contract's tests that fail: for tests of the contract itself."""
    bench = Bench(contract, spark, _made(folder / "bench"))
    failed = set()
    for name, test in inspect.getmembers(contract, inspect.ismethod):
        if not name.startswith("test_"):
            continue
        given = {"bench": bench, "tmp_path": _made(folder / name)}
        try:
            test(**{argument: given[argument] for argument in inspect.signature(test).parameters})
        except pytest.skip.Exception:
            continue
        except Exception:
            failed.add(name)
    return failed


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
