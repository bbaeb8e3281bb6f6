"""Two stages around a Spark ML model, which fails the whole job on a row without features: so they take it past it."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.ml import Transformer
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brightspark.core.transform import quoted, with_columns


class FillFailed(Transformer, DefaultParamsReadable["FillFailed"], DefaultParamsWritable):
    """Gives zeros to rows that have no features; `ClearFailed` takes them, and what a model made of them, away again.

    Notes the vectors' size in the column's metadata, as VectorAssembler wants it.
    """

    features_col: Param[str] = Param(Params._dummy(), "features_col", "column of vectors", TypeConverters.toString)
    size: Param[int] = Param(Params._dummy(), "size", "the length of each vector", TypeConverters.toInt)

    def __init__(self, *, features_col: str = "features", size: int = 1) -> None:
        super().__init__()
        self._set(features_col=features_col, size=size)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        name, size = self.getOrDefault(self.features_col), self.getOrDefault(self.size)
        zeros = array_to_vector(F.array_repeat(F.lit(0.0), size))
        metadata = {**dataset.schema[name].metadata, "ml_attr": {"num_attrs": size}}
        return with_columns(dataset, {name: F.coalesce(F.col(quoted(name)), zeros).alias(name, metadata=metadata)})


class ClearFailed(Transformer, DefaultParamsReadable["ClearFailed"], DefaultParamsWritable):
    """Sets the answers of rows that have an error to null. A column that is not there is passed over."""

    error_col: Param[str] = Param(Params._dummy(), "error_col", "column of errors", TypeConverters.toString)
    answer_cols: Param[list[str]] = Param(
        Params._dummy(), "answer_cols", "columns that are null where there is an error", TypeConverters.toListString
    )

    def __init__(self, *, error_col: str = "error", answer_cols: Sequence[str] = ()) -> None:
        super().__init__()
        self._set(error_col=error_col, answer_cols=list(answer_cols))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        worked = F.col(quoted(self.getOrDefault(self.error_col))).isNull()
        fields = {field.name: field for field in dataset.schema}
        # A StringIndexer's model, for one, adds nothing where there are no labels to index.
        present = [name for name in self.getOrDefault(self.answer_cols) if name in fields]
        cleared = {name: F.when(worked, F.col(quoted(name))) for name in present}
        return with_columns(
            dataset, {name: column.alias(name, metadata=fields[name].metadata) for name, column in cleared.items()}
        )
