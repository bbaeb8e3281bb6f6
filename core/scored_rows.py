"""A scored table made ready to be measured: its columns checked, cut to the few that are needed, its pairs counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DoubleType, FloatType, StringType

from brightspark.core.errors import InputError, SettingError, did_you_mean

PAIR_LIMIT = 1_000_000  # different (truth, prediction) pairs that the driver takes: some 300 MB of its memory


@dataclass(frozen=True)
class Pairs:
    """The rows of a scored table by what became of them."""

    rows: int
    abstained: int
    failed: int
    unlabelled: int
    confusion: Mapping[tuple[str, str], int]
    """measured rows of each (truth, prediction)"""
    usable: Mapping[str, int]
    """measured rows with a usable probability, of each truth"""

    @property
    def measured(self) -> int:
        """Rows with a truth and an answer."""
        return sum(self.confusion.values())


def known_labels(scored: DataFrame, labels: Sequence[str] | None, columns: Sequence[str]) -> tuple[str, ...]:
    """The classes in the model's order: `labels`, else those in the metadata of the first of `columns` that has any.

    A model writes them as `{"brightspark": {"labels": [...]}}`. Empty where nobody knows them.
    """
    if labels is not None:
        twice = [name for name, times in Counter(labels).items() if times > 1]
        if isinstance(labels, str) or twice or not labels:
            raise SettingError(f"labels={labels!r}: want each class's name once, such as labels=['cat', 'dog'].")
        return tuple(labels)
    for name in columns:
        if name in scored.columns:
            told = scored.schema[name].metadata.get("brightspark", {}).get("labels")
            if told:
                return tuple(told)
    return ()


def measurable_rows(
    scored: DataFrame, *, label: str, prediction: str, probability: str, error: str, readable: bool
) -> DataFrame:
    """Cuts a scored table to `answered`, `abstained`, `truth`, `guess` and, where `readable`, `probability`.

    The last three are null where not answered. A row without an error has abstained where it holds a probability but
    no prediction. Raises InputError for a column that is not there or has another type than promised.
    """
    guess = text_column(scored, prediction)
    unharmed = column(error).isNull() if error in scored.columns else F.lit(True)
    answered = unharmed & guess.isNotNull()
    likely = column(probability).isNotNull() if probability in scored.columns else F.lit(False)
    kept = {"truth": text_column(scored, label), "guess": guess}
    if readable:
        kept["probability"] = number_array(scored, probability)
    return scored.select(
        answered.alias("answered"),
        (unharmed & guess.isNull() & likely).alias("abstained"),
        *(F.when(answered, values).alias(name) for name, values in kept.items()),
    )


def count_pairs(rows: DataFrame, labels: Sequence[str]) -> Pairs:
    """Counts `measurable_rows` by truth and guess in one pass; with `labels` also those whose `usable` is set.

    Raises InputError where an array's `width` is not the number of `labels`.
    """
    counts = [F.count("*").alias("rows")]
    if "usable" in rows.columns:
        counts += [F.count_if("usable").alias("usable"), F.min("width").alias("least"), F.max("width").alias("most")]
    found = bounded_collect(rows.groupBy("answered", "abstained", "truth", "guess").agg(*counts))
    if "usable" in rows.columns:
        check_width([width for row in found for width in (row.least, row.most) if width is not None], labels)
    measured = [row for row in found if row.answered and row.truth is not None]
    usable: Counter[str] = Counter()
    for row in measured:
        usable[row.truth] += row.usable if "usable" in rows.columns else 0
    return Pairs(
        rows=sum(row.rows for row in found),
        abstained=sum(row.rows for row in found if row.abstained),
        failed=sum(row.rows for row in found if not row.answered and not row.abstained),
        unlabelled=sum(row.rows for row in found if row.answered and row.truth is None),
        confusion={(row.truth, row.guess): row.rows for row in measured},
        usable=usable,
    )


def bounded_collect(
    counted: DataFrame,
    limit: int = PAIR_LIMIT,
    what: str = "combinations of label and prediction: these are no names of classes. Check the label column's name.",
) -> list[Row]:
    """Collects counts by class, or by `what` is grouped by; raises InputError where there are far too many."""
    found = counted.limit(limit + 1).collect()
    if len(found) > limit:
        raise InputError(f"More than {limit:,} different {what}")
    return found


def column(name: str) -> Column:
    """A top-level column, also where its name has a dot."""
    return F.col(f"`{name}`")


def text_column(scored: DataFrame, name: str) -> Column:
    """A column of strings; raises InputError where it is missing or holds something else."""
    if not isinstance(_type(scored, name), StringType):
        kind = _type(scored, name).simpleString()
        raise InputError(
            f"The column {name!r} is {kind}; want the class's name as a string: cast it, or map it to names."
        )
    return column(name)


def text_array(scored: DataFrame, name: str) -> Column:
    """A column of arrays of strings; raises InputError where it is missing or holds something else."""
    kind = _type(scored, name)
    if not (isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType)):
        raise InputError(f"The column {name!r} is {kind.simpleString()}; want array<string>, the names of each row.")
    return column(name)


def number_array(scored: DataFrame, name: str) -> Column:
    """A column of arrays of floats; raises InputError where it is missing or holds something else."""
    kind = _type(scored, name)
    if not (isinstance(kind, ArrayType) and isinstance(kind.elementType, FloatType | DoubleType)):
        raise InputError(f"The column {name!r} is {kind.simpleString()}; want array<float> or array<double>.")
    return column(name)


def has_missing(numbers: Column) -> Column:
    """Whether an array of numbers holds a null or NaN; null for a null array."""
    return F.exists(numbers, lambda number: number.isNull() | F.isnan(number))


def _type(scored: DataFrame, name: str) -> DataType:
    if name not in scored.columns:
        raise InputError(f"There is no column {name!r}; {did_you_mean(name, scored.columns)}")
    return scored.schema[name].dataType


def check_width(widths: Sequence[int], labels: Sequence[str]) -> None:
    """Raises InputError where an array's length is not the number of labels."""
    wrong = sorted(set(widths) - {len(labels)})
    if wrong:
        raise InputError(
            f"There are {len(labels)} labels, but rows whose probability has {wrong[0]} numbers. "
            "Pass labels=… with every class that the model knows, in the order of its probability."
        )
