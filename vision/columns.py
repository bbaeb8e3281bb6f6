"""Which columns of a table hold pictures. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.transform import quoted
from brightspark.vision.settings import PictureSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_NUMBERS = ("byte", "short", "integer", "long", "float", "double")


def input_columns(df: DataFrame, settings: PictureSettings) -> tuple[str, ...]:
    """The column of images or of their paths, and the one that says which frame, where there is one.

    Raises InputError where a column is missing or of a type that cannot be.
    """
    picture = _picture_column(df, settings.input_col)
    frame = _frame_column(df, settings.frame_col)
    return (picture,) if frame is None else (picture, frame)


def _picture_column(df: DataFrame, named: str | None) -> str:
    name = named or next((column for column in ("content", "path") if column in df.columns), None)
    if name is None:
        raise InputError(
            "the table has neither a column 'content' (encoded images) nor 'path'; name the images' column with "
            f"input_col=. There are: {', '.join(map(repr, df.columns))}"
        )
    kind = _kind(df, name, "input_col")
    if kind not in ("binary", "string"):
        raise InputError(f"the column {name!r} is {kind}; images are binary, their paths are string")
    return name


def _frame_column(df: DataFrame, named: str | None) -> str | None:
    if named is not None:
        kind = _kind(df, named, "frame_col")
        if kind not in _NUMBERS:
            raise InputError(f"the column {named!r} is {kind}; a frame's number or its seconds are a number")
        return named
    present = (name for name in ("frame", "time") if name in df.columns)
    return next((name for name in present if _kind(df, name, "frame_col") in _NUMBERS), None)


def _kind(df: DataFrame, name: str, setting: str) -> str:
    if name not in df.columns:
        raise InputError(f"the table has no column {name!r} ({setting}); {did_you_mean(name, df.columns)}")
    return df.select(quoted(name)).schema[0].dataType.typeName()
