"""`pyspark.ml` Evaluators over brightspark's metrics, because Spark's own refuse string predictions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from brightspark.core.classification_report import ClassificationReport
from brightspark.core.errors import InputError, SettingError, did_you_mean
from brightspark.core.metrics import classification
from brightspark.core.multi_label import MultiLabelReport, multi_label

# Each metric, and whether more of it is better.
METRICS = {
    "accuracy": True,
    "macro_f1": True,
    "balanced_accuracy": True,
    "auroc": True,
    "average_precision": True,
    "log_loss": False,
    "calibration_error": False,
}
MULTI_LABEL_METRICS = {
    "mean_average_precision": True,
    "auroc": True,
    "macro_f1": True,
    "micro_f1": True,
    "exact_match": True,
    "hamming_loss": False,
    "log_loss": False,
    "calibration_error": False,
}
FROM_PREDICTIONS = {  # need no probability
    "accuracy",
    "macro_f1",
    "balanced_accuracy",
    "micro_f1",
    "exact_match",
    "hamming_loss",
}
FROM_CURVES = {"auroc", "average_precision", "mean_average_precision"}  # need every probability of every row


class _ReportEvaluator(Evaluator, DefaultParamsWritable):
    """One number of a report on a scored table: the Params that both evaluators have, and what they do alike."""

    metrics: ClassVar[Mapping[str, bool]]

    metric: Param[str] = Param(Params._dummy(), "metric", "the number to return", TypeConverters.toString)
    label_col: Param[str] = Param(Params._dummy(), "label_col", "column of truths", TypeConverters.toString)
    prediction_col: Param[str] = Param(
        Params._dummy(), "prediction_col", "column of predicted names", TypeConverters.toString
    )
    probability_col: Param[str] = Param(
        Params._dummy(), "probability_col", "column of probabilities", TypeConverters.toString
    )
    error_col: Param[str] = Param(Params._dummy(), "error_col", "column of errors", TypeConverters.toString)
    labels: Param[list[str]] = Param(
        Params._dummy(), "labels", "classes in the order of the probability", TypeConverters.toListString
    )

    def isLargerBetter(self) -> bool:  # noqa: N802, the name is pyspark's
        """Whether the model with the larger number is the better one."""
        return self.metrics[self._known(self.getOrDefault(self.metric))]

    def __init__(
        self,
        metric: str | None = None,
        *,
        label_col: str = "label",
        prediction_col: str = "prediction",
        probability_col: str = "probability",
        error_col: str = "error",
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        columns = {"label_col": label_col, "prediction_col": prediction_col, "probability_col": probability_col}
        self._set(metric=self._known(metric or next(iter(self.metrics))), error_col=error_col, **columns)
        if labels is not None:
            self._set(labels=list(labels))

    def _evaluate(self, dataset: DataFrame) -> float:
        """The metric; raises InputError where it is undefined, since a NaN would win any search by argmax."""
        metric = self._known(self.getOrDefault(self.metric))
        probability = self.getOrDefault(self.probability_col)
        if metric in FROM_PREDICTIONS:
            dataset = dataset.drop(probability)
        report = self._report(
            dataset,
            label=self.getOrDefault(self.label_col),
            prediction=self.getOrDefault(self.prediction_col),
            probability=probability,
            error=self.getOrDefault(self.error_col),
            labels=self.getOrDefault(self.labels) if self.isDefined(self.labels) else None,
            intervals=0,
            max_curves=sys.maxsize if metric in FROM_CURVES else 0,
        )
        value: float | None = getattr(report, metric)
        if value is None:
            raise InputError(f"There is no {metric} of these rows: {report.notes[metric]}.")
        return value

    def _report(self, dataset: DataFrame, **settings: Any) -> ClassificationReport | MultiLabelReport:
        raise NotImplementedError

    def _known(self, metric: str) -> str:
        if metric not in self.metrics:
            raise SettingError(f"metric={metric!r} is not known; {did_you_mean(metric, self.metrics)}")
        return metric


class ClassificationEvaluator(_ReportEvaluator, DefaultParamsReadable["ClassificationEvaluator"]):
    """Scores a classifier's answers by one number of a `ClassificationReport`, for CrossValidator and its like.

    Settings are Spark Params of the same names as the keywords. `metric` is one of accuracy, macro_f1,
    balanced_accuracy, auroc, average_precision, log_loss and calibration_error; `labels` orders the classes where the
    columns' metadata does not (`metrics.classification`). The default is accuracy. Rows that failed or have no label
    take no part.

    >>> ClassificationEvaluator("log_loss").isLargerBetter()
    False
    """

    metrics = METRICS

    def _report(self, dataset: DataFrame, **settings: Any) -> ClassificationReport:
        return classification(dataset, **settings)


class MultiLabelEvaluator(_ReportEvaluator, DefaultParamsReadable["MultiLabelEvaluator"]):
    """Scores answers of any number of labels each by one number of a `MultiLabelReport`, for CrossValidator.

    Settings are Spark Params of the same names as the keywords. `metric` is one of mean_average_precision, auroc,
    macro_f1, micro_f1, exact_match, hamming_loss, log_loss and calibration_error; `labels` orders the labels where the
    columns' metadata does not (`multi_label.multi_label`). The default is mean_average_precision. Rows that failed or
    have no truth take no part.

    >>> MultiLabelEvaluator().isLargerBetter(), MultiLabelEvaluator("hamming_loss").isLargerBetter()
    (True, False)
    """

    metrics = MULTI_LABEL_METRICS

    def _report(self, dataset: DataFrame, **settings: Any) -> MultiLabelReport:
        return multi_label(dataset, **settings)
