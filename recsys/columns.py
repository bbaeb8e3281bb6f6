"""Which columns hold users, items, ratings and times, each as one type. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DecimalType

from brightspark.core.errors import InputError, SettingError, did_you_mean
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000}  # of each unit of time in a second
_WHOLE = ("byte", "short", "integer", "long")
_FRACTIONAL = ("float", "double")
_TEXT = ("string", "char", "varchar")
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # seconds since 1970 of the first and last moment of years 1 to 9999


def id_column(table: DataFrame, name: str, setting: str) -> Column:
    """A column of ids: texts as string, whole numbers as long.

    Raises InputError where there is no such column, which `setting` names, or it holds something else.
    """
    kind = _type(table, name, setting)
    column = F.col(quoted(name))
    if kind.typeName() in _TEXT:
        return column.cast("string")
    if _is_whole(kind):
        return column.cast("long")
    raise InputError(
        f"the column {name!r} ({setting}) is {kind.simpleString()}; ids are texts or whole numbers: cast it to string "
        "or bigint"
    )


def rating_column(table: DataFrame, name: str, setting: str) -> Column:
    """A column of numbers as double, booleans as 1 and 0, texts as the numbers they spell; null where they do not.

    Raises InputError where there is no such column, which `setting` names, or it holds something else.
    """
    kind = _type(table, name, setting)
    column = F.col(quoted(name))
    if kind.typeName() == "boolean":
        return column.cast("int").cast("double")
    if kind.typeName() in (*_WHOLE, *_FRACTIONAL, *_TEXT, "decimal"):
        return column.try_cast("double")
    raise InputError(f"the column {name!r} ({setting}) is {kind.simpleString()}; ratings are numbers: cast it")


def time_column(table: DataFrame, name: str, unit: str, setting: str) -> Column:
    """A column of moments as timestamp: times, days, numbers of `unit` since 1970, or texts as Spark reads them.

    What is no moment between the years 1 and 9999 is null. Raises InputError where there is no such column, which
    `setting` names, or it holds something else; SettingError for an unknown unit.
    """
    if unit not in TICKS:
        raise SettingError(f"time_unit={unit!r} is unknown; {did_you_mean(unit, TICKS)}")
    kind = _type(table, name, setting)
    column = F.col(quoted(name))
    if kind.typeName() in (*_WHOLE, *_FRACTIONAL, "decimal"):
        seconds = column.cast("double") / F.lit(float(TICKS[unit]))
        micros = F.round(seconds * 1e6).try_cast("long")
        return F.when(seconds.between(_FIRST, _LAST), F.timestamp_micros(micros))
    if kind.typeName() in (*_TEXT, "timestamp", "timestamp_ntz", "date", "void"):
        moment = column.try_cast("timestamp")
        return F.when(F.year(moment).between(1, 9999), moment)
    raise InputError(f"the column {name!r} ({setting}) is {kind.simpleString()}; want a timestamp, or numbers: cast it")


def _type(table: DataFrame, name: str, setting: str) -> DataType:
    if name not in table.columns:
        raise InputError(f"the table has no column {name!r} ({setting}); {did_you_mean(name, table.columns)}")
    return table.schema[name].dataType


def _is_whole(kind: DataType) -> bool:
    """Whether all numbers of a type are whole, and fit a long."""
    return kind.typeName() in _WHOLE or (isinstance(kind, DecimalType) and kind.scale == 0 and kind.precision <= 18)
