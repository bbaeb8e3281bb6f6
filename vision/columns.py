"""Which columns of a table hold pictures. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.tables import file_column, kind_of
from brightspark.vision.settings import FRAME, TIME, ReadingSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_NUMBERS = ("byte", "short", "integer", "long", "float", "double", "decimal")


def input_columns(df: DataFrame, settings: ReadingSettings) -> tuple[str, ...]:
    """The column of images or of their paths, and those that say which frame, where there are any.

    Raises InputError where a column is missing or of a type that cannot be.
    """
    picture = settings.input_col or file_column(df)
    if picture is None:
        raise InputError(
            "the table has neither a column 'content' (encoded images) nor 'path'; name the images' column with "
            f"input_col=. There are: {', '.join(map(repr, df.columns))}"
        )
    kind = _kind(df, picture, "input_col")
    if kind not in ("binary", "string"):
        raise InputError(f"the column {picture!r} is {kind}; images are binary, their paths are string")
    return (picture, *_frame_columns(df, settings.frame_col, without=picture))


def _frame_columns(df: DataFrame, named: str | None, *, without: str) -> list[str]:
    """The column that a setting names; else `frame` and `time`, of which each file heeds its own."""
    if named is not None:
        _check_number(df, named)
        return [named]
    found = [name for name in (FRAME, TIME) if name in df.columns and name != without]
    if FRAME in found:
        _check_number(df, FRAME)
    # What is called `time` may be a date of anything. A text goes to the workers: of a video it must be a number.
    if TIME in found and _kind(df, TIME, "frame_col") not in (*_NUMBERS, "string"):
        found.remove(TIME)
    return found


def _check_number(df: DataFrame, name: str) -> None:
    kind = _kind(df, name, "frame_col")
    if kind not in _NUMBERS:
        raise InputError(
            f"the column {name!r} is {kind}; a frame's number or its seconds are a number: cast it, or rename it if it "
            "says something else"
        )


def _kind(df: DataFrame, name: str, setting: str) -> str:
    if name not in df.columns:
        raise InputError(f"the table has no column {name!r} ({setting}); {did_you_mean(name, df.columns)}")
    return kind_of(df, name)
