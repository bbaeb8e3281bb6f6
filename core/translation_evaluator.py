"""A `pyspark.ml` Evaluator over BLEU, chrF and TER, for CrossValidator and its like."""

from __future__ import annotations

from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from brightspark.core.errors import InputError, SettingError, did_you_mean
from brightspark.core.translation_metrics import METRICS, translation


class TranslationEvaluator(Evaluator, DefaultParamsWritable, DefaultParamsReadable["TranslationEvaluator"]):
    """Scores translations by one number of a `TranslationReport`.

    Settings are Spark Params of the same names as the keywords. `metric` is one of chrf, bleu and ter, of which less is
    better. Rows that failed or have no reference take no part.

    Raises SettingError for another metric; `evaluate` raises InputError where no row can be measured.

    >>> TranslationEvaluator().isLargerBetter(), TranslationEvaluator("ter").isLargerBetter()
    (True, False)
    """

    metric: Param[str] = Param(Params._dummy(), "metric", "the number to return", TypeConverters.toString)
    reference_col: Param[str] = Param(Params._dummy(), "reference_col", "column of references", TypeConverters.toString)
    translation_col: Param[str] = Param(
        Params._dummy(), "translation_col", "column of translations", TypeConverters.toString
    )
    error_col: Param[str] = Param(Params._dummy(), "error_col", "column of errors", TypeConverters.toString)

    def __init__(
        self,
        metric: str = "chrf",
        *,
        reference_col: str = "target",
        translation_col: str = "translation",
        error_col: str = "error",
    ) -> None:
        super().__init__()
        columns = {"reference_col": reference_col, "translation_col": translation_col, "error_col": error_col}
        self._set(metric=_known(metric), **columns)

    def isLargerBetter(self) -> bool:  # noqa: N802, the name is pyspark's
        """Whether the model with the larger number is the better one."""
        return _known(self.getOrDefault(self.metric)) != "ter"

    def _evaluate(self, dataset: DataFrame) -> float:
        metric = _known(self.getOrDefault(self.metric))
        report = translation(
            dataset,
            reference=self.getOrDefault(self.reference_col),
            prediction=self.getOrDefault(self.translation_col),
            error=self.getOrDefault(self.error_col),
        )
        value: float | None = getattr(report.overall, metric)
        if value is None:  # a NaN would win any search by argmax
            raise InputError(f"There is no {metric} of these rows: {report.failed:,} failed, and none has a reference.")
        return value


def _known(metric: str) -> str:
    if metric not in METRICS:
        raise SettingError(f"metric={metric!r} is not known; {did_you_mean(metric, METRICS)}")
    return metric
