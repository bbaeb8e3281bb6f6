"""A stage behind a Spark ML classifier that words its answers as brightspark does."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.ml import Transformer
from pyspark.ml.functions import vector_to_array
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.transform import quoted, with_columns


class NamedAnswers(Transformer, DefaultParamsReadable["NamedAnswers"], DefaultParamsWritable):
    """Turns an index into a label's name and a vector of probabilities into an array, in place.

    Spark ML's classifiers answer with `prediction` (double, an index) and, most of them, `probability` (vector). After
    this stage `prediction` is a string and `probability` array<float> in the order of `labels`, and both have the
    labels in their metadata: `evaluate` needs no more than the table. `labels` are those of the StringIndexerModel that
    made the indices:

        names = StringIndexer(inputCol="label", outputCol="index").fit(rows)
        Pipeline(stages=[names, LogisticRegression(labelCol="index"), NamedAnswers(names.labels)])

    A classifier without probabilities (LinearSVC) just gets its names. An index that is none of the labels', such as
    StringIndexer's for labels that it has not seen, and one that is not a number become null. With that indexer's
    `handleInvalid="keep"` there is a last probability, of no label: it is left out, and the others sum to 1 again.
    """

    labels: Param[list[str]] = Param(Params._dummy(), "labels", "label names by index", TypeConverters.toListString)
    prediction_col: Param[str] = Param(Params._dummy(), "prediction_col", "column of indices", TypeConverters.toString)
    probability_col: Param[str] = Param(
        Params._dummy(), "probability_col", "column of vectors, which may be missing", TypeConverters.toString
    )

    def __init__(
        self,
        labels: Sequence[str] = (),
        *,
        prediction_col: str = "prediction",
        probability_col: str = "probability",
    ) -> None:
        super().__init__()
        self._set(labels=list(labels), prediction_col=prediction_col, probability_col=probability_col)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        labels = self.getOrDefault(self.labels)
        metadata = {"brightspark": {"labels": labels}}
        prediction, probability = self.getOrDefault(self.prediction_col), self.getOrDefault(self.probability_col)
        index = F.col(quoted(_checked(dataset, prediction))).try_cast("int")
        named = {prediction: F.get(F.array(*[F.lit(label) for label in labels]), index)}
        if probability in dataset.columns:
            vector = F.col(quoted(probability))
            # vector_to_array fails on null.
            named[probability] = F.when(vector.isNotNull(), _of_labels(vector_to_array(vector, "float32"), len(labels)))
        return with_columns(dataset, {name: column.alias(name, metadata=metadata) for name, column in named.items()})


def _of_labels(probability: Column, labels: int) -> Column:
    """The probabilities of the labels alone; null where all of it is on the one class more that is none."""
    kept = F.slice(probability, 1, labels)
    total = F.aggregate(kept, F.lit(0.0), lambda added, one: added + one)
    scaled = F.when(total > 0, F.transform(kept, lambda one: (one / total).cast("float")))
    return F.when(F.size(probability) == labels + 1, scaled).otherwise(probability)


def _checked(dataset: DataFrame, name: str) -> str:
    if name not in dataset.columns:
        raise InputError(f"the table has no column {name!r} of predictions; {did_you_mean(name, dataset.columns)}")
    kind = dataset.schema[name].dataType
    if not isinstance(kind, NumericType):
        raise InputError(f"the column {name!r} is {kind.simpleString()}; want indices, as a Spark ML classifier gives")
    return name
