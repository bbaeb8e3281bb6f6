"""The evaluator gives the report's numbers, knows which way is better, and serves CrossValidator."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError
from brightspark.core.evaluator import METRICS, MULTI_LABEL_METRICS, ClassificationEvaluator, MultiLabelEvaluator
from brightspark.core.metrics import classification
from brightspark.core.multi_label import multi_label


@pytest.fixture
def scored(spark: SparkSession) -> DataFrame:
    rows = [("no", "no", [0.9, 0.1]), ("yes", "yes", [0.2, 0.8]), ("no", "yes", [0.3, 0.7]), ("yes", "no", [0.6, 0.4])]
    return spark.createDataFrame(rows, "truth string, answer string, likely array<double>")


def test_each_metric_is_the_reports(scored: DataFrame) -> None:
    labels = ["no", "yes"]
    report = classification(
        scored, label="truth", prediction="answer", probability="likely", labels=labels, intervals=0
    )
    for metric in METRICS:
        evaluator = ClassificationEvaluator(
            metric, label_col="truth", prediction_col="answer", probability_col="likely", labels=labels
        )
        assert evaluator.evaluate(scored) == getattr(report, metric), metric


def test_each_multi_label_metric_is_the_reports(spark: SparkSession) -> None:
    rows = [(["a", "b"], ["a"], [0.9, 0.4]), (["b"], ["b"], [0.2, 0.8]), ([], ["a"], [0.6, 0.5])]
    scored = spark.createDataFrame(rows, "label array<string>, prediction array<string>, likely array<double>")
    report = multi_label(scored, probability="likely", labels=["a", "b"], intervals=0)
    for metric in MULTI_LABEL_METRICS:
        evaluator = MultiLabelEvaluator(metric, probability_col="likely", labels=["a", "b"])
        assert evaluator.evaluate(scored) == getattr(report, metric), metric
    nothing = MultiLabelEvaluator(probability_col="likely", labels=["a", "b"])
    with pytest.raises(InputError, match="no mean_average_precision of these rows: no row has both"):
        nothing.evaluate(scored.limit(0))


def test_a_multi_label_evaluator_survives_saving(spark: SparkSession, tmp_path: Path) -> None:
    MultiLabelEvaluator("hamming_loss", labels=["a"]).save(str(tmp_path / "evaluator"))
    loaded = MultiLabelEvaluator.load(str(tmp_path / "evaluator"))
    assert (loaded.getOrDefault(loaded.metric), loaded.getOrDefault(loaded.labels)) == ("hamming_loss", ["a"])


def test_errors_are_better_when_smaller() -> None:
    smaller = {metric for metric in METRICS if not ClassificationEvaluator(metric).isLargerBetter()}
    assert smaller == {"log_loss", "calibration_error"}
    smaller = {metric for metric in MULTI_LABEL_METRICS if not MultiLabelEvaluator(metric).isLargerBetter()}
    assert smaller == {"hamming_loss", "log_loss", "calibration_error"}
    assert MultiLabelEvaluator().getOrDefault("metric") == "mean_average_precision"


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'accuracy'"):
        ClassificationEvaluator("acuracy")


def test_an_undefined_metric_is_an_error_not_a_nan(scored: DataFrame) -> None:
    evaluator = ClassificationEvaluator("auroc", label_col="truth", prediction_col="answer", probability_col="likely")
    with pytest.raises(InputError, match=r"no auroc of these rows: the order of the labels is not known"):
        evaluator.evaluate(scored)


def test_params_override_and_survive_saving(scored: DataFrame, tmp_path: Path) -> None:
    evaluator = ClassificationEvaluator(label_col="truth", prediction_col="answer", labels=["no", "yes"])
    assert evaluator.evaluate(scored, {evaluator.label_col: "answer"}) == 1
    assert evaluator.evaluate(scored) == 0.5
    evaluator.save(str(tmp_path / "evaluator"))
    loaded = ClassificationEvaluator.load(str(tmp_path / "evaluator"))
    settings = {param.name: value for param, value in evaluator.extractParamMap().items()}
    assert {param.name: value for param, value in loaded.extractParamMap().items()} == settings


class Threshold(Estimator, Model):
    """Says yes where `x` lies above its threshold: an estimator that is its own model."""

    threshold: Param[float] = Param(Params._dummy(), "threshold", "lowest x of a yes", TypeConverters.toFloat)

    def _fit(self, dataset: DataFrame) -> Threshold:
        return self.copy()

    def _transform(self, dataset: DataFrame) -> DataFrame:
        yes = F.col("x") >= self.getOrDefault(self.threshold)
        likely = F.when(yes, F.array(F.lit(0.1), F.lit(0.9))).otherwise(F.array(F.lit(0.9), F.lit(0.1)))
        answered = dataset.withColumn("prediction", F.when(yes, "yes").otherwise("no")).withColumn(
            "probability", likely
        )
        return answered.withMetadata("probability", {"brightspark": {"labels": ["no", "yes"]}})


class MultiLabelThreshold(Threshold):
    """Names `big` where `x` lies above its threshold, and always `thing`."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        big = F.col("x") >= self.getOrDefault(self.threshold)
        likely = F.array(F.when(big, 0.9).otherwise(0.1), F.lit(0.8))
        answered = dataset.withColumn(
            "prediction", F.when(big, F.array(F.lit("big"), F.lit("thing"))).otherwise(F.array(F.lit("thing")))
        ).withColumn("probability", likely)
        return answered.withMetadata("probability", {"brightspark": {"labels": ["big", "thing"]}})


@pytest.mark.parametrize("metric", [pytest.param("mean_average_precision", marks=pytest.mark.slow), "hamming_loss"])
def test_a_cross_validator_finds_the_best_of_many_labels(spark: SparkSession, metric: str) -> None:
    thing = F.array(F.lit("thing"))
    data = spark.range(40).select(
        (F.col("id") / 40).alias("x"),
        F.when(F.col("id") >= 20, F.array_append(thing, "big")).otherwise(thing).alias("label"),
    )
    estimator = MultiLabelThreshold()
    grid = ParamGridBuilder().addGrid(estimator.threshold, [0.1, 0.5, 0.9]).build()
    evaluator = MultiLabelEvaluator(metric)
    search = CrossValidator(
        estimator=estimator, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, parallelism=2, seed=0
    )
    best = search.fit(data).bestModel
    assert best.getOrDefault(best.threshold) == 0.5


@pytest.mark.parametrize("metric", [pytest.param("accuracy", marks=pytest.mark.slow), "log_loss"])
def test_a_cross_validator_finds_the_best(spark: SparkSession, metric: str) -> None:
    data = spark.range(40).select(
        (F.col("id") / 40).alias("x"), F.when(F.col("id") >= 20, "yes").otherwise("no").alias("label")
    )
    estimator = Threshold()
    grid = ParamGridBuilder().addGrid(estimator.threshold, [0.1, 0.5, 0.9]).build()
    search = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=grid,
        evaluator=ClassificationEvaluator(metric),
        numFolds=2,
        parallelism=2,
        seed=0,
    )
    best = search.fit(data).bestModel
    assert best.getOrDefault(best.threshold) == 0.5
