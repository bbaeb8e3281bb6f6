"""A column of items as what an encoding is learned from, and as its features. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from brightspark.core.transform import quoted
from brightspark.recsys.encoding import MOST_DEVIATIONS, Categories, Columns, Number

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

NUMBERS, TEXTS, TEXT_ARRAYS, VECTORS = "numbers", "texts", "arrays of texts", "arrays of numbers"
LARGEST = 1e30  # a number beyond it is a slip, and counts as null like NaN
_NUMERIC = ("byte", "short", "integer", "long", "float", "double", "decimal")
_DAYS = ("date", "timestamp_ntz")
_TEXTUAL = ("string", "char", "varchar")
_MICROS_A_DAY = 86_400 * 1_000_000


def kind_of(items: DataFrame, name: str) -> str | None:
    """What a column holds: NUMBERS, TEXTS, TEXT_ARRAYS or VECTORS, or None where it can be no features."""
    of = items.schema[name].dataType
    if isinstance(of, ArrayType):
        if of.elementType.typeName() in _TEXTUAL:
            return TEXT_ARRAYS
        return VECTORS if of.elementType.typeName() in ("float", "double") else None
    if of.typeName() == "vectorudt":
        return VECTORS
    if of.typeName() in _TEXTUAL:
        return TEXTS
    return NUMBERS if of.typeName() in (*_NUMERIC, *_DAYS, "boolean", "timestamp") else None


def encoded_kind(column: Columns) -> str:
    """What a column must hold to be encoded so."""
    if isinstance(column, Categories):
        return TEXT_ARRAYS if column.several else TEXTS
    return NUMBERS if isinstance(column, Number) else VECTORS


def read(items: DataFrame, name: str) -> Column:
    """A column of one of the four kinds: a finite double or null, an array of different texts, or numbers or null."""
    column, kind = F.col(quoted(name)), kind_of(items, name)
    if kind == VECTORS:
        of = items.schema[name].dataType
        return column.cast("array<double>") if isinstance(of, ArrayType) else vector_to_array(column)
    if kind == NUMBERS:
        number = _number(column, items.schema[name].dataType.typeName())
        # Spark holds NaN for larger than any number.
        return F.when(F.abs(number) <= F.lit(LARGEST), number)
    texts = F.array(column.cast("string")) if kind == TEXTS else column.cast("array<string>")
    some = F.filter(texts, lambda value: value.isNotNull() & (value != F.lit("")))
    return F.coalesce(F.array_distinct(some), F.array().cast("array<string>"))


def _number(column: Column, kind: str) -> Column:
    if kind == "boolean":
        return column.cast("int").cast("double")
    if kind == "timestamp":
        return F.unix_micros(column) / F.lit(float(_MICROS_A_DAY))
    return F.unix_date(column.cast("date")).cast("double") if kind in _DAYS else column.cast("double")


def encoded(value: Column, column: Columns) -> Column:
    """What `read` gives, as an array of float: one for each of the column's names."""
    if isinstance(column, Number):
        distance = (value - F.lit(column.mean)) / F.lit(column.deviation)
        most = F.lit(MOST_DEVIATIONS)
        # The least of null and a number is the number.
        inside = F.when(value.isNull(), F.lit(0.0)).otherwise(F.greatest(F.least(distance, most), -most))
        features = [inside, value.isNull().cast("double")] if column.flagged else [inside]
        return F.array(*features).cast("array<float>")
    if isinstance(column, Categories):
        values = F.array(*[F.lit(one) for one in column.values])
        return F.transform(values, lambda one: F.array_contains(value, one).cast("float"))
    numbers = F.transform(value, lambda one: F.coalesce(F.nanvl(one, F.lit(0.0)), F.lit(0.0)).cast("float"))
    nothing = F.array_repeat(F.lit(0.0).cast("float"), column.width)
    return F.when(F.size(value) == column.width, numbers).otherwise(nothing)
