"""Which column of a table holds texts. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def check_text_column(df: DataFrame, name: str, setting: str = "text_col") -> None:
    """Raises InputError where there is no such column, which `setting` names, or it holds no texts."""
    if name not in df.columns:
        raise InputError(f"the table has no column {name!r} ({setting}); {did_you_mean(name, df.columns)}")
    kind = df.select(quoted(name)).schema[0].dataType.typeName()
    if kind not in ("string", "char", "varchar", "void"):
        raise InputError(f"the column {name!r} is {kind}; texts are string: cast it, or decode it")


def text_error(text: Column, max_chars: int, what: str = "the text") -> Column:
    """Why nothing can be learned from a text; null where something can."""
    return (
        F.when(text.isNull(), f"{what} is null")
        .when(F.regexp_replace(text, r"(?U)\s+", "") == "", f"{what} is empty")
        .when(F.length(text) > max_chars, F.lit(f"{what} has more than the {max_chars:,} characters of max_chars"))
    )
