"""A Spark ML classifier's answers become names and arrays that `evaluate` reads without being told anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LinearSVC, LogisticRegression
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.ml.functions import array_to_vector

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


def test_a_label_for_the_unseen_has_no_probability(spark: SparkSession, rows: DataFrame) -> None:
    names = StringIndexer(inputCol="label", outputCol="index", handleInvalid="keep").fit(rows)
    stages = [names, LogisticRegression(labelCol="index"), NamedAnswers(names.labels)]
    scored = Pipeline(stages=stages).fit(rows).transform(rows)
    assert {len(row["probability"]) for row in scored.collect()} == {2}
    assert classification(scored, intervals=0).labels == ("cat", "dog")

    answers = [([0.3, 0.1, 0.6], 2.0), ([0.0, 0.0, 1.0], 2.0), ([0.6, 0.4], 0.0)]
    table = spark.createDataFrame(answers, "numbers array<double>, prediction double")
    table = table.select("prediction", array_to_vector("numbers").alias("probability"))
    named = NamedAnswers(["cat", "dog"]).transform(table).collect()
    assert [row["probability"] and [round(one, 5) for one in row["probability"]] for row in named] == [
        [0.75, 0.25], None, [0.6, 0.4]
    ]  # fmt: skip
    assert [row["prediction"] for row in named] == [None, None, "cat"]


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
