"""Which column of a table holds recordings. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.tables import file_column, kind_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def audio_column(df: DataFrame, named: str | None = None) -> str:
    """The column of recordings or of their paths: the one that a setting names, or else the one that looks like it.

    That is `content` where it can be sound, else `path`: beside paths a text called `content` is a description.

    Raises InputError where there is none, or it is of a type that cannot be.
    """
    found = named or file_column(df)
    if found is None:
        raise InputError(
            "the table has neither a column 'path' nor 'content' (encoded recordings); rename the one that holds the "
            f"recordings, or name it with input_col=. There are: {', '.join(map(repr, df.columns))}"
        )
    if found not in df.columns:
        raise InputError(f"the table has no column {found!r} (input_col); {did_you_mean(found, df.columns)}")
    kind = kind_of(df, found)
    if kind not in ("binary", "string", "char", "varchar"):
        raise InputError(f"the column {found!r} is {kind}; recordings are binary, their paths are string")
    return found
