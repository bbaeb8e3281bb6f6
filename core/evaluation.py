"""How good answers are: of one label a row, or of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.metrics import classification
from brightspark.core.multi_label import multi_label
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def evaluate(scored: DataFrame, *, prediction: str = "prediction", **settings: Any) -> Any:
    """Measures answers against the column `label`, by the type of `prediction`.

    Of a string it returns a `brightspark.core.classification_report.ClassificationReport`, of an array, the answers
    of a model with `multi_label`, a `brightspark.core.multi_label_report.MultiLabelReport`. `settings` are those of
    `brightspark.core.metrics.classification` and `brightspark.core.multi_label.multi_label`: the columns' names, the
    labels, bootstrap replicates.

    Raises InputError for columns that are missing or unusable.
    """
    if prediction not in scored.columns:
        raise InputError(f"the table has no column {prediction!r}; {did_you_mean(prediction, scored.columns)}")
    several = scored.select(quoted(prediction)).schema[0].dataType.typeName() == "array"
    return (multi_label if several else classification)(scored, prediction=prediction, **settings)
