"""Which column of a table holds texts. Knows Spark, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def check_text_column(df: DataFrame, name: str) -> None:
    """Raises InputError where there is no such column, or it holds no texts."""
    if name not in df.columns:
        raise InputError(f"the table has no column {name!r} (text_col); {did_you_mean(name, df.columns)}")
    kind = df.select(quoted(name)).schema[0].dataType.typeName()
    if kind not in ("string", "char", "varchar", "void"):
        raise InputError(f"the column {name!r} is {kind}; texts are string: cast it, or decode it")
