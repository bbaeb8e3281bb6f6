"""Deep features for Spark ML: computed once per fit, and a failed row never reaches a model that would die of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from pyspark.ml import Estimator, Pipeline, PipelineModel
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    GBTClassifier,
    LinearSVC,
    LogisticRegression,
    MultilayerPerceptronClassifier,
    RandomForestClassifier,
)
from pyspark.ml.clustering import KMeans
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import IndexToString, SQLTransformer, StringIndexer, VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError
from brightspark.core.evaluator import ClassificationEvaluator
from brightspark.core.features import FeaturePipeline
from tests.core.toy import counted
from tests.core.toy_features import SIZE, ToyFeaturizer, features

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

GOOD, BROKEN = 40, 3
NAMES = ("a", "b")

LEARNERS: dict[str, Callable[[], Estimator[Any]]] = {
    "LogisticRegression": lambda: LogisticRegression(maxIter=10),
    "LinearSVC": lambda: LinearSVC(maxIter=10),
    "DecisionTree": lambda: DecisionTreeClassifier(maxDepth=2),
    "RandomForest": lambda: RandomForestClassifier(numTrees=3, maxDepth=2, seed=0),
    "GBT": lambda: GBTClassifier(maxIter=2, maxDepth=2, seed=0),
    "MultilayerPerceptron": lambda: MultilayerPerceptronClassifier(layers=[SIZE, 2], maxIter=20, seed=0),
    "KMeans": lambda: KMeans(k=2, seed=0),
}
KINDS = ("LogisticRegression", "RandomForest", "KMeans")  # of learners, one each: the others are slow tests


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


@pytest.fixture
def featurizer(tmp_path: Path, log: Path) -> ToyFeaturizer:
    return ToyFeaturizer.make(tmp_path / "model", log=str(log))


@pytest.fixture
def table(spark: SparkSession) -> DataFrame:
    return texts(spark)


def texts(spark: SparkSession, *, names: tuple[str, ...] = NAMES, good: int = GOOD, broken: int = BROKEN) -> DataFrame:
    """Rows whose name and label are the text's first letter; those that are broken have a name and a label too."""
    kinds = [index % len(names) for index in range(good)]
    rows = [(f"{names[kind]} {index}", names[kind], float(kind)) for index, kind in enumerate(kinds)]
    rows += [(f"broken {'x' * (index % 2)}", names[0], 0.0) for index in range(broken)]
    return spark.createDataFrame(rows, "text string, name string, label double").repartition(2)


def by_name(**settings: Any) -> Pipeline:
    """Learns names, and answers with names."""
    return Pipeline(
        stages=[
            StringIndexer(inputCol="name", outputCol="index", stringOrderType="alphabetAsc"),
            LogisticRegression(labelCol="index", predictionCol="predicted_index", maxIter=10, **settings),
            IndexToString(inputCol="predicted_index", outputCol="prediction", labels=list(NAMES)),
        ]
    )


def search(regression: LogisticRegression, estimator: Estimator[Any], **settings: Any) -> CrossValidator:
    """A search over two settings of a logistic regression that is `estimator`, or within it."""
    grid = ParamGridBuilder().addGrid(regression.regParam, [0.0, 10.0]).build()
    return CrossValidator(estimator=estimator, estimatorParamMaps=grid, numFolds=2, seed=0, **settings)


class TestEveryLearner:
    @pytest.mark.parametrize(
        "learner", [pytest.param(name, marks=() if name in KINDS else pytest.mark.slow) for name in LEARNERS]
    )
    def test_rows_are_featurized_once_and_failed_rows_keep_their_error(
        self, learner: str, featurizer: ToyFeaturizer, table: DataFrame, log: Path
    ) -> None:
        model = FeaturePipeline(featurizer, LEARNERS[learner]()).fit(table)
        assert counted(log, "predict") == GOOD
        answered = model.transform(table)
        rows = answered.collect()
        assert counted(log, "predict") == 2 * GOOD
        assert len(rows) == GOOD + BROKEN
        added = [name for name in answered.columns if name not in (*table.columns, "error")]
        assert {"features", "prediction"} <= set(added)
        for row in rows:
            failed = row["text"].startswith("broken")
            assert (row["error"] is not None) == failed
            assert all((row[name] is None) == failed for name in added), row
        right = [row["prediction"] == row["label"] for row in rows if row["error"] is None]
        assert np.mean(right) > 0.9 or learner == "KMeans"  # which numbers its clusters as it likes

    @pytest.mark.parametrize("learner", ["LogisticRegression", pytest.param("RandomForest", marks=pytest.mark.slow)])
    def test_the_model_saves_and_loads(
        self, learner: str, featurizer: ToyFeaturizer, table: DataFrame, tmp_path: Path
    ) -> None:
        model = FeaturePipeline(featurizer, LEARNERS[learner]()).fit(table)
        model.write().overwrite().save(str(tmp_path / "saved"))
        loaded = PipelineModel.load(str(tmp_path / "saved"))
        assert [type(stage) for stage in loaded.stages] == [type(stage) for stage in model.stages]
        wanted = sorted(map(str, model.transform(table).collect()))
        assert sorted(map(str, loaded.transform(table).collect())) == wanted


class TestRowsThatFail:
    def test_they_are_counted_and_the_commonest_reasons_named(
        self, featurizer: ToyFeaturizer, table: DataFrame, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "brightspark.core.features"):
            FeaturePipeline(featurizer, LogisticRegression(maxIter=2)).fit(table)
        assert caplog.messages == [
            "3 of 43 rows have no features and are left out of fit: "
            "2 × ValueError: cannot read a text of 7 letters; 1 × ValueError: cannot read a text of 8 letters"
        ]

    def test_nothing_is_said_where_none_fails(
        self, featurizer: ToyFeaturizer, spark: SparkSession, caplog: pytest.LogCaptureFixture
    ) -> None:
        FeaturePipeline(featurizer, LogisticRegression(maxIter=2)).fit(texts(spark, broken=0))
        assert caplog.messages == []

    def test_without_any_features_there_is_nothing_to_learn(
        self, featurizer: ToyFeaturizer, spark: SparkSession
    ) -> None:
        estimator = FeaturePipeline(featurizer, LogisticRegression())
        with pytest.raises(InputError, match=r"none of the 3 rows has features.*2 × ValueError: cannot read"):
            estimator.fit(texts(spark, good=0))
        with pytest.raises(InputError, match="no rows"):
            estimator.fit(texts(spark).limit(0))

    def test_a_broken_model_fails_the_fit(self, tmp_path: Path, table: DataFrame) -> None:
        featurizer = ToyFeaturizer.make(tmp_path / "dead", fault="dead")
        with pytest.raises(Exception, match="the model failed on each of the first"):
            FeaturePipeline(featurizer, LogisticRegression()).fit(table)

    def test_a_table_in_which_every_row_fails_is_still_answered(
        self, featurizer: ToyFeaturizer, spark: SparkSession
    ) -> None:
        model = FeaturePipeline(featurizer, LogisticRegression(maxIter=2)).fit(texts(spark))
        rows = model.transform(texts(spark, good=0)).collect()
        assert [(row["prediction"], row["probability"]) for row in rows] == [(None, None)] * BROKEN
        assert model.transform(texts(spark).limit(0)).collect() == []


class TestWhatLearnersSee:
    def test_names_in_and_names_out(self, featurizer: ToyFeaturizer, table: DataFrame) -> None:
        model = FeaturePipeline(featurizer, by_name()).fit(table)
        answered = model.transform(table)
        assert ClassificationEvaluator("accuracy", label_col="name").evaluate(answered.drop("probability")) == 1
        unlabelled = model.transform(table.select("text")).filter("error is null")
        assert {(row["text"][0], row["prediction"]) for row in unlabelled.collect()} == {(n, n) for n in NAMES}

    def test_features_beside_other_columns(self, featurizer: ToyFeaturizer, table: DataFrame, log: Path) -> None:
        """VectorAssembler wants to know the size of a vector: it is in the metadata, and no row is read for it."""
        both = VectorAssembler(inputCols=["features", "age"], outputCol="both")
        learner = Pipeline(stages=[both, LogisticRegression(featuresCol="both", maxIter=2)])
        aged = table.withColumn("age", F.length("text").cast("double"))
        model = FeaturePipeline(featurizer, learner).fit(aged)
        assert counted(log, "predict") == GOOD
        answered = model.transform(aged)
        assert counted(log, "predict") == GOOD
        assert {row["both"].size for row in answered.filter("error is null").collect()} == {SIZE + 1}

    def test_small_data_is_in_few_partitions(
        self, featurizer: ToyFeaturizer, table: DataFrame, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A learner passes over them dozens of times, and every pass starts a task for each."""
        for partition_bytes, wanted in ((8 << 20, {0}), (GOOD * SIZE * 8 // 4, {0, 1, 2, 3})):
            monkeypatch.setattr("brightspark.core.features.PARTITION_BYTES", partition_bytes)
            seen = Seen()
            with pytest.raises(StoppedError):
                FeaturePipeline(featurizer, seen).fit(table.repartition(7, "text"))
            assert seen.partitions == wanted

    def test_metadata_stays(self, featurizer: ToyFeaturizer, table: DataFrame) -> None:
        model = FeaturePipeline(featurizer, LogisticRegression(maxIter=2)).fit(table)
        schema = model.transform(table).schema
        assert schema["features"].metadata["ml_attr"]["num_attrs"] == SIZE
        assert schema["prediction"].metadata["ml_attr"]["num_vals"] == 2

    def test_bytes_are_not_held_while_the_learner_works(self, featurizer: ToyFeaturizer, table: DataFrame) -> None:
        seen = Seen()
        held = table.withColumn("content", F.encode("text", "utf-8")).withColumn("a.b", F.encode("text", "utf-8"))
        with pytest.raises(StoppedError):
            FeaturePipeline(featurizer, seen).fit(held)
        assert seen.rows is not None
        assert set(seen.rows.columns) == {*table.columns, "features", "error"}

    def test_nothing_is_held_afterwards(self, featurizer: ToyFeaturizer, table: DataFrame, log: Path) -> None:
        seen = Seen()
        with pytest.raises(StoppedError):
            FeaturePipeline(featurizer, seen).fit(table)
        assert seen.rows is not None
        assert counted(log, "predict") == GOOD
        assert sorted(row["features"].toArray().tolist() for row in seen.rows.collect()) == sorted(
            np.float32(features(text)).tolist() for text in seen.texts
        )
        assert counted(log, "predict") == 2 * GOOD  # the rows that were held are gone

    def test_a_stream_is_answered(self, featurizer: ToyFeaturizer, table: DataFrame, tmp_path: Path) -> None:
        model = FeaturePipeline(featurizer, by_name()).fit(table)
        table.write.parquet(str(tmp_path / "in"))
        stream = table.sparkSession.readStream.schema(table.schema).parquet(str(tmp_path / "in"))
        query = (
            model.transform(stream)
            .select("text", "prediction", "error")
            .writeStream.format("parquet")
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .trigger(availableNow=True)
            .start(str(tmp_path / "out"))
        )
        try:
            assert query.awaitTermination(120)
        finally:
            query.stop()
        rows = table.sparkSession.read.parquet(str(tmp_path / "out")).collect()
        assert len(rows) == GOOD + BROKEN
        assert all((row["prediction"] is None) == (row["error"] is not None) for row in rows)


class TestThinData:
    @pytest.mark.parametrize("learner", ["LogisticRegression", "DecisionTree"])
    def test_one_class_is_always_that_class(self, learner: str, featurizer: ToyFeaturizer, spark: SparkSession) -> None:
        rows = texts(spark, names=("a",))
        model = FeaturePipeline(featurizer, LEARNERS[learner]()).fit(rows)
        answers = model.transform(rows).filter("error is null").select("prediction").distinct().collect()
        assert [row["prediction"] for row in answers] == [0.0]

    def test_two_classes_where_the_learner_wants_two(self, featurizer: ToyFeaturizer, spark: SparkSession) -> None:
        with pytest.raises(Exception, match="only supports binary classification"):
            FeaturePipeline(featurizer, LinearSVC()).fit(texts(spark, names=("a",)))

    @pytest.mark.parametrize("learner", ["LogisticRegression", "LinearSVC", "DecisionTree"])
    def test_constant_features_give_one_answer(self, learner: str, tmp_path: Path, spark: SparkSession) -> None:
        featurizer = ToyFeaturizer.make(tmp_path / "constant", fault="constant")
        rows = texts(spark, good=41)
        model = FeaturePipeline(featurizer, LEARNERS[learner]()).fit(rows)
        answers = model.transform(rows).filter("error is null").select("prediction").distinct().collect()
        assert [row["prediction"] for row in answers] == [0.0]


class TestBeforeTheWork:
    """What cannot work is found out before the features are computed."""

    WRONG: ClassVar[dict[str, Callable[[], Estimator[Any]]]] = {
        r"'name' holds strings.*StringIndexer\(inputCol='name'": lambda: LogisticRegression(labelCol="name"),
        r"'lable' \(labelCol\), which is not there; did you mean 'label'": lambda: GBTClassifier(labelCol="lable"),
        r"'vector' \(featuresCol\), which is not there": lambda: KMeans(featuresCol="vector"),
        r"'name' \(predictionCol\), which is there already": lambda: LinearSVC(predictionCol="name"),
        r"'nme' \(inputCol\).*did you mean 'name'": lambda: StringIndexer(inputCol="nme", outputCol="index"),
        r"'age' \(inputCols\[1\]\)": lambda: Pipeline(
            stages=[VectorAssembler(inputCols=["features", "age"], outputCol="both")]
        ),
        r"'indx' \(labelCol\).*did you mean 'index'": lambda: Pipeline(
            stages=[StringIndexer(inputCol="name", outputCol="index"), LinearSVC(labelCol="indx")]
        ),
    }

    @pytest.mark.parametrize("message", WRONG)
    def test_columns_are_checked(self, message: str, featurizer: ToyFeaturizer, table: DataFrame, log: Path) -> None:
        learner = self.WRONG[message]()
        for estimator in (learner, CrossValidator(estimator=learner)):
            with pytest.raises(InputError, match=message):
                FeaturePipeline(featurizer, estimator).fit(table)
        assert counted(log, "predict") == 0

    def test_what_cannot_be_known_is_let_pass(self, featurizer: ToyFeaturizer, table: DataFrame) -> None:
        learner = Pipeline(
            stages=[
                SQLTransformer(statement="SELECT *, 1 - label AS opposite FROM __THIS__"),
                LogisticRegression(labelCol="opposite", maxIter=10),
            ]
        )
        answered = FeaturePipeline(featurizer, learner).fit(table).transform(table).filter("error is null")
        assert {row["prediction"] + row["label"] for row in answered.collect()} == {1.0}

    def test_stages(self, featurizer: ToyFeaturizer, spark: SparkSession) -> None:
        with pytest.raises(SettingError, match="no featurizer"):
            FeaturePipeline(StringIndexer(), LogisticRegression())  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="has no fit"):
            FeaturePipeline(featurizer, featurizer)  # type: ignore[arg-type]


class TestSearch:
    def test_a_search_inside_featurizes_once(self, featurizer: ToyFeaturizer, table: DataFrame, log: Path) -> None:
        learner = by_name()
        accuracy = ClassificationEvaluator("accuracy", label_col="name")
        inside = search(learner.getStages()[1], learner, evaluator=accuracy)  # type: ignore[arg-type]
        model = FeaturePipeline(featurizer, inside).fit(table)
        assert counted(log, "predict") == GOOD
        best, worst = model.stages[2].avgMetrics
        assert best == 1 > worst

    def test_a_search_by_sparks_own_evaluator(self, featurizer: ToyFeaturizer, table: DataFrame, log: Path) -> None:
        learner = LogisticRegression(maxIter=10)
        inside = search(learner, learner, evaluator=MulticlassClassificationEvaluator(metricName="logLoss"))
        model = FeaturePipeline(featurizer, inside).fit(table)
        assert counted(log, "predict") == GOOD
        best, worst = model.stages[2].avgMetrics
        assert best < worst

    @pytest.mark.slow
    def test_a_search_outside_works_too(self, featurizer: ToyFeaturizer, table: DataFrame, tmp_path: Path) -> None:
        learner = by_name()
        pipeline = FeaturePipeline(featurizer, learner)
        accuracy = ClassificationEvaluator("accuracy", label_col="name")
        outside = search(learner.getStages()[1], pipeline, evaluator=accuracy)  # type: ignore[arg-type]
        outside.write().overwrite().save(str(tmp_path / "search"))
        loaded = CrossValidator.load(str(tmp_path / "search"))
        assert type(loaded.getEstimator()) is FeaturePipeline
        best, worst = loaded.fit(table).avgMetrics
        assert best == 1 > worst


@pytest.mark.slow
def test_a_plain_pipeline_works_and_costs_more(
    featurizer: ToyFeaturizer, spark: SparkSession, log: Path, tmp_path: Path
) -> None:
    """What docs/vision.md says of it: two to four times the work, in one more pass or several."""
    rows = texts(spark, broken=0)
    costs = {}
    for name in ("LogisticRegression", "DecisionTree"):
        before = counted(log, "predict")
        model = Pipeline(stages=[featurizer, LEARNERS[name]()]).fit(rows)
        costs[name] = (counted(log, "predict") - before) / GOOD
    assert {row["prediction"] for row in model.transform(rows).collect()} == {0.0, 1.0}
    assert 2 <= costs["LogisticRegression"] <= 3
    assert 3 <= costs["DecisionTree"] <= 4


class StoppedError(Exception):
    """What `Seen` raises."""


class Seen(Estimator[Any]):
    """Keeps the rows that it is to learn from, reads them, and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: DataFrame | None = None
        self.texts: list[str] = []
        self.partitions: set[int] = set()

    def _fit(self, dataset: DataFrame) -> Any:
        self.rows = dataset
        rows = dataset.select("text", F.spark_partition_id().alias("partition")).collect()
        self.texts = [row["text"] for row in rows]
        self.partitions = {row["partition"] for row in rows}
        raise StoppedError
