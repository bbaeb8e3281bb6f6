"""A Spark ML classifier's answers become names and arrays that `evaluate` reads without being told anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LinearSVC, LogisticRegression
from pyspark.ml.feature import StringIndexer, VectorAssembler

from brightspark.core.errors import InputError
from brightspark.core.metrics import classification
from brightspark.core.named_answers import NamedAnswers

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture
def rows(spark: SparkSession) -> DataFrame:
    values = [("cat", 1.0), ("cat", 1.2), ("dog", 3.0), ("dog", 3.3), ("cat", 3.1)]
    table = spark.createDataFrame(values, "label string, weight double")
    return VectorAssembler(inputCols=["weight"], outputCol="features").transform(table)


def fitted(rows: DataFrame, learner: LogisticRegression | LinearSVC) -> PipelineModel:
    names = StringIndexer(inputCol="label", outputCol="index", stringOrderType="alphabetDesc").fit(rows)
    return Pipeline(stages=[names, learner, NamedAnswers(names.labels)]).fit(rows)


def test_a_classifier_answers_with_names_and_arrays(rows: DataFrame, tmp_path: Path) -> None:
    model = fitted(rows, LogisticRegression(labelCol="index"))
    model.write().overwrite().save(str(tmp_path / "model"))
    for scored in (model.transform(rows), PipelineModel.load(str(tmp_path / "model")).transform(rows)):
        types = dict(scored.dtypes)
        assert (types["prediction"], types["probability"]) == ("string", "array<float>")
        answers = [(row["prediction"], list(row["probability"])) for row in scored.orderBy("weight").collect()]
        assert [name for name, _ in answers] == ["cat", "cat", "dog", "dog", "dog"]
        assert all((name == "dog") == (probability[0] > 0.5) for name, probability in answers)  # "dog" is label 0


def test_evaluate_needs_the_table_only(rows: DataFrame) -> None:
    report = classification(fitted(rows, LogisticRegression(labelCol="index")).transform(rows), intervals=0)
    assert report.labels == ("dog", "cat")
    assert report.confusion.cells == {("cat", "cat"): 2, ("dog", "dog"): 2, ("cat", "dog"): 1}
    assert report.auroc == pytest.approx(5 / 6)
    assert report.notes == {}


def test_a_classifier_without_probabilities_gets_its_names(rows: DataFrame) -> None:
    scored = fitted(rows, LinearSVC(labelCol="index", maxIter=2)).transform(rows)
    assert {row["prediction"] for row in scored.collect()} == {"cat", "dog"}
    assert "probability" not in scored.columns


def test_what_has_no_answer_stays_null(spark: SparkSession) -> None:
    table = spark.createDataFrame([(0.0,), (None,), (2.0,), (float("nan"),)], "prediction double")
    named = NamedAnswers(["cat", "dog"]).transform(table)
    assert [row["prediction"] for row in named.collect()] == ["cat", None, None, None]


def test_columns_that_are_no_answers_are_named(spark: SparkSession) -> None:
    stage = NamedAnswers(["cat", "dog"])
    with pytest.raises(InputError, match="did you mean 'predictions'"):
        stage.transform(spark.createDataFrame([(1.0,)], "predictions double"))
    with pytest.raises(InputError, match="is string; want indices"):
        stage.transform(spark.createDataFrame([("cat",)], "prediction string"))
