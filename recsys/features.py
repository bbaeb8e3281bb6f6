"""What is known of items as numbers: an encoding learned from a table, and the table encoded. Knows Spark, no torch.

Nothing is collected but a few numbers for each column, and `max_categories` values for each column of texts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.window import Window

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.persisted import persisted
from brightspark.recsys.columns import id_column
from brightspark.recsys.encoding import Categories, Columns, Encoding, EncodingSettings, Number, Vector
from brightspark.recsys.feature_columns import (
    NUMBERS,
    TEXT_ARRAYS,
    TEXTS,
    VECTORS,
    encoded,
    encoded_kind,
    kind_of,
    read,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_log = logging.getLogger(__name__)

Values = Sequence[tuple[str, int]]
"""The most frequent values of a column, and how many items have each."""


def learn_encoding(items: DataFrame, settings: EncodingSettings | None = None) -> Encoding:
    """How the columns of a table beside its `item` become features, in three passes of Spark over it.

    - Numbers of any type, booleans (1 and 0), days and moments (as days) are standardised. Null, NaN and what is
      infinite or beyond 10³⁰ are 0, which is the mean; where they occur, a further feature says so.
    - Texts become a feature for each of the `max_categories` most frequent values that `min_items` items have; so do
      arrays of texts, of which an item may have several. Other values, null and empty texts are 0 throughout.
    - Arrays of float or double, and Spark ML's vectors, are taken as they are; what is null or empty is 0 throughout.

    Left out, as the encoding and the log say, is a column whose values make up less than `min_share` of what it says
    (of titles nearly each is different), one that is the same or null for all items, and one of another type. Rows
    without an item are none.

    Raises InputError where a table lacks `item`, where an item is there more than once, where there are no items, and
    where the arrays of a column differ in length.

    >>> encoding = learn_encoding(read_items(spark, "films.parquet"))   # doctest: +SKIP
    >>> encode(films, encoding).show()                                  # doctest: +SKIP
    """
    settings = settings or EncodingSettings()
    check_unique(items)
    kinds = {name: kind_of(items, name) for name in items.columns if name != "item"}
    used = {name: kind for name, kind in kinds.items() if kind is not None}
    columns = [read(items, name).alias(str(place)) for place, name in enumerate(used)]
    # Spark knows no rows without a column.
    with persisted(items.filter("item is not null").select(F.lit(1).alias("one"), *columns)) as rows:
        count, found = _measured(rows, list(used.values()))
        if not count:
            raise InputError("there are no items to learn an encoding from")
        values = _frequent(rows, list(used.values()), settings)
    left_out = {
        name: f"it is {items.schema[name].dataType.simpleString()}" for name, kind in kinds.items() if kind is None
    }
    learned: list[Columns] = []
    for place, (name, kind) in enumerate(used.items()):
        made = _learned(name, kind, found[place], count, values.get(place, []), settings)
        if isinstance(made, str):
            left_out[name] = made
        else:
            learned.append(made)
    if left_out:
        told = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        _log.warning("nothing is learned from some of the items' columns: %s", told)
    return Encoding(columns=tuple(learned), left_out=left_out)


def encode(items: DataFrame, encoding: Encoding) -> DataFrame:
    """Each item's features: `item` and `features` (array<float>), in the order of the encoding's names.

    Items may be others than those that the encoding was learned from. One that is there more than once is so in the
    answer; rows without an item are left out. Arrays of another length than was learned are 0 throughout.

    Raises InputError for a column that is missing, or holds something else than it did.
    """
    parts = []
    for column in encoding.columns:
        if column.column not in items.columns:
            raise InputError(
                f"the items have no column {column.column!r}; {did_you_mean(column.column, items.columns)}"
            )
        if kind_of(items, column.column) != encoded_kind(column):
            raise InputError(
                f"the column {column.column!r} is {items.schema[column.column].dataType.simpleString()}, and the "
                f"encoding was learned from {encoded_kind(column)}: cast it"
            )
        parts.append(encoded(read(items, column.column), column))
    features = F.concat(*parts) if parts else F.array().cast("array<float>")
    ids = id_column(items, "item", "item").alias("item")
    return items.filter("item is not null").select(ids, features.alias("features"))


def check_unique(items: DataFrame) -> None:
    """Raises InputError where an item has more than one row, naming one and saying how many there are."""
    ids = items.select(id_column(items, "item", "item").alias("item")).filter("item is not null")
    twice = ids.groupBy("item").agg(F.count(F.lit(1)).alias("rows")).filter("rows > 1")
    (found,) = twice.agg(F.count(F.lit(1)).alias("items"), F.min(F.struct("item", "rows")).alias("first")).collect()
    if found["items"]:
        item, rows = found["first"]
        raise InputError(
            f"{found['items']:,} items are there more than once, such as {item!r} in {rows:,} rows: keep one row of "
            "each, as items.dropDuplicates(['item']) does"
        )


def _measured(rows: DataFrame, kinds: Sequence[str]) -> tuple[int, list[Mapping[str, Any]]]:
    """The number of rows, and of each column what `_measures` asks for."""
    asked = [measure.alias(f"{place}:{name}") for place, kind in enumerate(kinds)
             for name, measure in _measures(F.col(str(place)), kind).items()]  # fmt: skip
    (found,) = rows.agg(F.count(F.lit(1)).alias("rows"), *asked).collect()
    said = found.asDict()
    return said["rows"], [
        {name.partition(":")[2]: value for name, value in said.items() if name.startswith(f"{place}:")}
        for place in range(len(kinds))
    ]


def _measures(column: Column, kind: str) -> dict[str, Column]:
    if kind == NUMBERS:
        return {"known": F.count(column), "mean": F.avg(column), "deviation": F.stddev_pop(column)}
    if kind == VECTORS:
        numbers = F.when(F.size(column) > 0, F.size(column))
        return {"shortest": F.min(numbers), "longest": F.max(numbers)}
    return {"entries": F.sum(F.size(column))}


def _frequent(rows: DataFrame, kinds: Sequence[str], settings: EncodingSettings) -> dict[int, list[tuple[str, int]]]:
    """The most frequent values of each column of texts, by its place; of equally frequent ones the first by name."""
    places = [place for place, kind in enumerate(kinds) if kind in (TEXTS, TEXT_ARRAYS)]
    if not places:
        return {}
    said = [F.transform(str(place), _of_place(place)) for place in places]
    each = rows.select(F.explode(F.concat(*said)).alias("said")).select("said.*")
    counts = each.groupBy("place", "value").agg(F.count(F.lit(1)).alias("items"))
    best = Window.partitionBy("place").orderBy(F.desc("items"), "value")
    ranked = counts.filter(F.col("items") >= settings.min_items).withColumn("rank", F.row_number().over(best))
    found: dict[int, list[tuple[str, int]]] = {}
    for row in ranked.filter(F.col("rank") <= settings.max_categories).orderBy("place", "rank").collect():
        found.setdefault(row["place"], []).append((row["value"], row["items"]))
    return found


def _of_place(place: int) -> Any:
    return lambda value: F.struct(F.lit(place).alias("place"), value.alias("value"))


def _learned(
    name: str, kind: str, found: Mapping[str, Any], rows: int, values: Values, settings: EncodingSettings
) -> Columns | str:
    """How a column is encoded, or why it is not."""
    if kind == NUMBERS:
        return _number(name, found, rows)
    if kind == VECTORS:
        if found["longest"] is None:
            return "it is null or empty for all items"
        if found["shortest"] != found["longest"]:
            raise InputError(
                f"the arrays of the column {name!r} have from {found['shortest']} to {found['longest']} numbers; want "
                "the same for all items: mend it, or drop it"
            )
        return Vector(column=name, width=found["longest"])
    if not found["entries"]:
        return "it is null or empty for all items"
    share = sum(items for _, items in values) / found["entries"]
    if not values or share < settings.min_share:
        return (
            f"nearly each value is different: the {len(values)} most frequent ones that several items have make up "
            f"{share:.0%}"
        )
    return Categories(column=name, several=kind == TEXT_ARRAYS, values=tuple(value for value, _ in values))


def _number(name: str, found: Mapping[str, Any], rows: int) -> Number | str:
    flagged = found["known"] < rows
    if not found["known"]:
        return "it is null for all items"
    # The last digits depend on the order in which Spark adds up, and the features must not.
    deviation = float(f"{found['deviation']:.9g}")
    if not deviation and not flagged:
        return "it is the same for all items"
    mean = round(found["mean"] / deviation, 6) * deviation if deviation else found["mean"]
    return Number(column=name, mean=mean, deviation=deviation or 1.0, flagged=flagged)
