"""What becomes of the items' columns as numbers: learned once, kept as JSON. Knows neither Spark nor torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

from brightspark.core.errors import ArtifactError, SettingError

MOST_DEVIATIONS = 10.0  # beyond which a number is cut: a slip among the prices must not outshout all else


@dataclass(frozen=True, kw_only=True)
class EncodingSettings:
    """How the items' columns become numbers."""

    max_categories: Annotated[int, "different values of a column that become features, the most frequent ones"] = 256
    min_items: Annotated[int, "items that have a value, below which it becomes no feature"] = 2
    min_share: Annotated[
        float, "share of all that a column says that these values make up; below it the column is left out, as titles"
    ] = 0.2

    def __post_init__(self) -> None:
        if self.max_categories < 1 or self.min_items < 1:
            raise SettingError(
                f"max_categories={self.max_categories}, min_items={self.min_items} must both be at least 1"
            )
        if not 0 <= self.min_share <= 1:
            raise SettingError(f"min_share={self.min_share} is a share: from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A column of numbers, booleans or days, standardised: one feature, cut at MOST_DEVIATIONS; null is 0."""

    kind: ClassVar[str] = "number"

    column: str
    mean: float
    deviation: float
    flagged: bool
    """Whether a second feature is 1 where there is no number: only where that was so for some item."""

    @property
    def names(self) -> tuple[str, ...]:
        """One for each feature."""
        return (self.column, f"{self.column}: missing") if self.flagged else (self.column,)


@dataclass(frozen=True, kw_only=True)
class Categories:
    """A column of texts, or of arrays of them: a feature for each value, 1 where an item has it and else 0."""

    kind: ClassVar[str] = "categories"

    column: str
    several: bool
    """Whether the column holds arrays."""
    values: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """One for each feature."""
        return tuple(f"{self.column}: {value}" for value in self.values)


@dataclass(frozen=True, kw_only=True)
class Vector:
    """A column of arrays of numbers, such as embeddings, as it is; what is null or of another length is 0."""

    kind: ClassVar[str] = "vector"

    column: str
    width: int

    @property
    def names(self) -> tuple[str, ...]:
        """One for each feature."""
        return tuple(f"{self.column}[{place}]" for place in range(self.width))


Columns = Number | Categories | Vector
_KINDS: Mapping[str, Callable[..., Columns]] = {kind.kind: kind for kind in (Number, Categories, Vector)}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The features of items, in order, and what they are made of."""

    columns: tuple[Columns, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that tell nothing that could be learned from, and why."""

    @property
    def names(self) -> tuple[str, ...]:
        """What to call each feature: `year`, `genres: Comedy`, `embedding[7]`.

        >>> Encoding(columns=(Categories(column="genres", several=True, values=("Comedy", "War")),)).names
        ('genres: Comedy', 'genres: War')
        """
        return tuple(name for column in self.columns for name in column.names)

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        columns = [{"kind": column.kind, **asdict(column)} for column in self.columns]
        return {"columns": columns, "left_out": dict(self.left_out)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Encoding:
        """The one that gave it; raises ArtifactError for what is none."""
        try:
            return cls(columns=tuple(_column(one) for one in raw["columns"]), left_out=dict(raw["left_out"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"this is no encoding of items: {error!r}") from error


def _column(raw: Mapping[str, Any]) -> Columns:
    said = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items() if name != "kind"}
    return _KINDS[raw["kind"]](**said)
