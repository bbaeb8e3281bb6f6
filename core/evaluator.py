"""A `pyspark.ml` Evaluator over `brightspark.core.metrics`, because Spark's own refuse string predictions."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from brightspark.core.errors import InputError, SettingError, did_you_mean
from brightspark.core.metrics import classification

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
FROM_PREDICTIONS = {"accuracy", "macro_f1", "balanced_accuracy"}  # need no probability
FROM_CURVES = {"auroc", "average_precision"}  # need every probability of every row


class ClassificationEvaluator(Evaluator, DefaultParamsReadable["ClassificationEvaluator"], DefaultParamsWritable):
    """Scores a classifier's answers by one number of a `ClassificationReport`, for CrossValidator and its like.

    Settings are Spark Params of the same names as the keywords. `metric` is one of accuracy, macro_f1,
    balanced_accuracy, auroc, average_precision, log_loss and calibration_error; `labels` orders the classes where the
    columns' metadata does not (`metrics.classification`). Rows that failed or have no label take no part.

    >>> ClassificationEvaluator("log_loss").isLargerBetter()
    False
    """

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

    def __init__(
        self,
        metric: str = "accuracy",
        *,
        label_col: str = "label",
        prediction_col: str = "prediction",
        probability_col: str = "probability",
        error_col: str = "error",
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self._set(
            metric=_known(metric),
            label_col=label_col,
            prediction_col=prediction_col,
            probability_col=probability_col,
            error_col=error_col,
        )
        if labels is not None:
            self._set(labels=list(labels))

    def isLargerBetter(self) -> bool:  # noqa: N802, the name is pyspark's
        """Whether the model with the larger number is the better one."""
        return METRICS[_known(self.getOrDefault(self.metric))]

    def _evaluate(self, dataset: DataFrame) -> float:
        """The metric; raises InputError where it is undefined, since a NaN would win any search by argmax."""
        metric = _known(self.getOrDefault(self.metric))
        labels = self.getOrDefault(self.labels) if self.isDefined(self.labels) else None
        probability = self.getOrDefault(self.probability_col)
        if metric in FROM_PREDICTIONS:
            dataset = dataset.drop(probability)
        report = classification(
            dataset,
            label=self.getOrDefault(self.label_col),
            prediction=self.getOrDefault(self.prediction_col),
            probability=probability,
            error=self.getOrDefault(self.error_col),
            labels=labels,
            intervals=0,
            max_curves=sys.maxsize if metric in FROM_CURVES else 0,
        )
        value: float | None = getattr(report, metric)
        if value is None:
            raise InputError(f"There is no {metric} of these rows: {report.notes[metric]}.")
        return value


def _known(metric: str) -> str:
    if metric not in METRICS:
        raise SettingError(f"metric={metric!r} is not known; {did_you_mean(metric, METRICS)}")
    return metric
