"""A look at rows before they are learned from: which labels there are, and which rows validate. Nothing heavy is read.

Which rows validate is told by a hash of their group: the same ones in every fit, whatever the order, the number of
partitions or the other rows, so that no later training sees what an earlier one was measured on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.persisted import persisted
from brightspark.core.transform import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_log = logging.getLogger(__name__)

MAX_LABELS = 100_000  # more are no labels, but texts or numbers
MAX_MOVED = 10_000  # groups that are taken back from validation, since some label would have no row to learn from
_PARTS = 1_000_003  # of the hash: a prime
_NAMES = ("string", "char", "varchar", "boolean", "byte", "short", "integer", "long")


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What there is to learn from."""

    labels: tuple[str, ...]
    """In the order of the model's outputs: sorted, whole numbers by size."""

    counts: tuple[int, ...]
    """The training rows of each label."""

    rows: int
    """Training rows."""

    held_out: int
    """Rows that validate."""

    unlabelled: int
    """Rows without a label, which take no part."""

    multi_label: bool
    """Whether the label column holds arrays."""

    moved: tuple[int, ...]
    """Hashes of the groups that learn, although they would validate."""

    fingerprint: str
    """Equal for the same groups and labels in whatever order: of what is learned from, as far as this look goes."""


def survey(
    df: DataFrame, label: str, *, group: Sequence[str], share: float, key: Sequence[str] | None = None
) -> Survey:
    """Looks at the labels of `df`, and at the columns that say what must not stand on both sides.

    A group validates if its hash falls into the first `share` of all hashes; a null is a group like any other. Where
    that would leave a label without a row to learn from, its groups learn after all. `key` names a row, where `group`
    does not: the fingerprint tells other rows of the same groups apart.

    Raises InputError for a label column that is missing or of a type that names nothing, for rows without labels, for
    a single label, and for more than MAX_LABELS.
    """
    names = label_names(df, label)
    multi_label = df.select(quoted(label)).schema[0].dataType.typeName() == "array"
    light = df.select(_hash(key or group).alias("key"), _hash(group).alias("group"), names.alias("labels"))
    with persisted(light) as rows:
        total, labelled = rows.count(), rows.filter("labels is not null")
        counts = _label_counts(labelled, share, moved=())
        _check(counts, total, label, multi_label)
        rare = [name for name, (learn, _) in counts.items() if not learn]
        moved = _groups_of(labelled, rare, share) if rare else ()
        if moved:
            counts = _label_counts(labelled, share, moved)
        found = _sides(labelled, share, moved)
    _check_rows(found)
    ordered = sorted(counts, key=_by_size if _whole_numbers(df, label) else str)
    _warn(total - sum(found.rows), total, found.rows[1], share, moved)
    return Survey(
        labels=tuple(ordered),
        counts=tuple(counts[name][0] for name in ordered),
        rows=found.rows[0],
        held_out=found.rows[1],
        unlabelled=total - sum(found.rows),
        multi_label=multi_label,
        moved=moved,
        fingerprint=found.fingerprint,
    )


def survey_rows(
    df: DataFrame, truth: str, *, group: Sequence[str], share: float, key: Sequence[str] | None = None
) -> Survey:
    """The same look at rows whose `truth` is no label, such as a translation: there is just one of each.

    Raises InputError for a column that is missing, and for rows that hold nothing in it.
    """
    if truth not in df.columns:
        raise InputError(f"the table has no column {truth!r}; {did_you_mean(truth, df.columns)}")
    said = F.when(F.col(quoted(truth)).isNotNull(), F.array(F.xxhash64(quoted(truth))))
    light = df.select(_hash(key or group).alias("key"), _hash(group).alias("group"), said.alias("labels"))
    with persisted(light) as rows:
        total = rows.count()
        _check_any(total)
        found = _sides(rows.filter("labels is not null"), share, moved=())
    if not sum(found.rows):
        raise InputError(f"there is nothing to learn from: the column {truth!r} is null in all of the {total:,} rows")
    _check_rows(found)
    _warn(total - sum(found.rows), total, found.rows[1], share, ())
    return Survey(
        labels=(),
        counts=(),
        rows=found.rows[0],
        held_out=found.rows[1],
        unlabelled=total - sum(found.rows),
        multi_label=False,
        moved=(),
        fingerprint=found.fingerprint,
    )


def label_names(df: DataFrame, label: str) -> Column:
    """The labels of a row as an array of their names; null where it has none.

    Raises InputError where there is no such column, or its type is none that names labels.
    """
    if label not in df.columns:
        raise InputError(f"the table has no column {label!r} (label_col); {did_you_mean(label, df.columns)}")
    kind: Any = df.select(quoted(label)).schema[0].dataType
    inner = kind.elementType if kind.typeName() == "array" else kind
    if inner.typeName() not in _NAMES:
        raise InputError(
            f"the column {label!r} is {kind.simpleString()}; labels are texts, whole numbers or booleans, or arrays of "
            "them where a row has several: cast it"
        )
    column = F.col(quoted(label))
    if kind.typeName() == "array":
        return F.array_distinct(F.array_compact(column.cast("array<string>")))
    return F.when(column.isNotNull(), F.array(column.cast("string")))


def is_held_out(group: Sequence[str], share: float, moved: Sequence[int]) -> Column:
    """Whether a row validates."""
    return _falls_out(_hash(group), share, moved)


def _hash(group: Sequence[str]) -> Column:
    return F.xxhash64(*[F.col(quoted(name)) for name in group])


def _falls_out(hashed: Column, share: float, moved: Sequence[int]) -> Column:
    out = F.pmod(hashed, F.lit(_PARTS)) < F.lit(round(share * _PARTS))
    return out & ~hashed.isin(*moved) if moved else out


@dataclass(frozen=True)
class _Sides:
    rows: tuple[int, int]
    fingerprint: str


def _sides(rows: DataFrame, share: float, moved: Sequence[int]) -> _Sides:
    """The rows that learn and that validate, and the fingerprint of all of them."""
    hashed = F.xxhash64("key", "group", F.array_sort("labels"))
    halves = (hashed.bitwiseAND(F.lit(0xFFFFFFFF)), F.shiftrightunsigned(hashed, 32))
    sums = [
        F.sum(half.cast("decimal(20,0)")).cast("string").alias(name) for half, name in zip(halves, "ab", strict=True)
    ]
    falls = F.sum(_falls_out(F.col("group"), share, moved).cast("int")).alias("out")
    found = rows.agg(F.count(F.lit(1)).alias("rows"), falls, *sums).collect()[0]
    out = found["out"] or 0  # of no rows there is no sum
    digest = hashlib.sha256(f"{found['rows']} {out} {found['a']} {found['b']}".encode()).hexdigest()
    return _Sides(rows=(found["rows"] - out, out), fingerprint=digest)


def _label_counts(rows: DataFrame, share: float, moved: Sequence[int]) -> dict[str, tuple[int, int]]:
    """For each label the rows that learn and those that validate."""
    out = _falls_out(F.col("group"), share, moved).cast("int").alias("out")
    each = rows.select(F.explode("labels").alias("name"), out).groupBy("name")
    counted = each.agg(F.count(F.lit(1)).alias("rows"), F.sum("out").alias("out")).limit(MAX_LABELS + 1).collect()
    return {row["name"]: (row["rows"] - row["out"], row["out"]) for row in counted}


def _groups_of(rows: DataFrame, labels: Sequence[str], share: float) -> tuple[int, ...]:
    """The hashes of the groups that would validate, and hold one of these labels."""
    names = rows.sparkSession.createDataFrame([(name,) for name in labels], "name string")
    held_out = rows.filter(_falls_out(F.col("group"), share, ())).select("group", F.explode("labels").alias("name"))
    groups = held_out.join(F.broadcast(names), "name").select("group").distinct().limit(MAX_MOVED + 1).collect()
    if len(groups) > MAX_MOVED:
        raise InputError(
            f"{len(labels):,} labels, such as {labels[0]!r}, have rows in more than {MAX_MOVED:,} groups that validate "
            "and none to learn from: set a smaller validation_share"
        )
    return tuple(sorted(row["group"] for row in groups))


def _check_any(total: int) -> None:
    if not total:
        raise InputError("the table has no rows: there is nothing to learn from")


def _check_rows(found: _Sides) -> None:
    if found.rows[0] < 2:
        raise InputError("a single row is left to learn from: it takes two at least")


def _check(counts: dict[str, tuple[int, int]], total: int, label: str, multi_label: bool) -> None:
    _check_any(total)
    if not counts:
        raise InputError(
            f"none of the {total:,} rows has a label: the column {label!r} is null or empty in all of them"
        )
    if len(counts) > MAX_LABELS:
        raise InputError(f"the column {label!r} has more than {MAX_LABELS:,} different values: are they labels?")
    if len(counts) == 1 and not multi_label:
        raise InputError(
            f"all rows have the label {next(iter(counts))!r}: there is nothing to tell apart, two labels are needed"
        )


def _warn(unlabelled: int, total: int, held_out: int, share: float, moved: Sequence[int]) -> None:
    if unlabelled:
        _log.warning("%s of %s rows have nothing to learn and take no part", f"{unlabelled:,}", f"{total:,}")
    if moved:
        _log.warning("%d groups learn that would validate: a label would have had no row to learn from", len(moved))
    if share and not held_out:
        _log.warning(
            "no row validates: validation_share=%s of so few is none; the last epoch's weights are kept", share
        )


def _whole_numbers(df: DataFrame, label: str) -> bool:
    kind: Any = df.select(quoted(label)).schema[0].dataType
    return getattr(kind, "elementType", kind).typeName() in ("byte", "short", "integer", "long")


def _by_size(name: str) -> int:
    return int(name)
