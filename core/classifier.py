"""What every classifier's model does on Spark: the columns that it adds, the same for images, texts and sounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from brightspark.core.classifier_settings import ClassifierSettings, answer_type
from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.features import to_vector
from brightspark.core.model import ScoringModel
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

C = TypeVar("C", bound=ClassifierSettings)


class ClassifierModel(ScoringModel[C]):
    """A ScoringModel whose answers are labels and their probabilities."""

    def answer_type(self) -> pa.StructType:
        """prediction, prediction_index, probability and, on request, top."""
        return answer_type(self.settings)

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        named = self.settings
        outputs = {named.prediction_col: "answer.prediction", named.probability_col: "answer.probability"}
        if named.prediction_index_col:
            outputs[named.prediction_index_col] = "answer.prediction_index"
        if named.top_k:
            outputs[named.top_col] = "answer.top"
        outputs[named.error_col] = "error"
        return outputs

    def finished(self, scored: DataFrame) -> DataFrame:
        """`probability` once more, as a Spark ML vector, where the settings name a column for it."""
        vector = self.settings.probability_vector_col
        if not vector:
            return scored
        if vector in scored.columns:
            raise InputError(f"the table has a column {vector!r} already; drop it, or name another")
        return scored.withColumn(vector, to_vector(quoted(self.settings.probability_col)))


def check_explained(df: DataFrame, label: str) -> None:
    """Raises InputError where the column of the labels to explain is missing, or holds no names."""
    if label not in df.columns:
        raise InputError(
            f"the table has no column {label!r} (label_col); {did_you_mean(label, df.columns)}. To explain a model's "
            "own answers, give the rows of its transform"
        )
    kind = df.select(quoted(label)).schema[0].dataType.typeName()
    if kind not in ("string", "void"):
        raise InputError(f"the column {label!r} is {kind}; the label to explain is a name, as in model.labels")
