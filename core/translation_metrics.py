"""Translations against references: BLEU, chrF and TER, each exactly sacrebleu's, as one Spark aggregation.

sacrebleu makes a few counts of each pair of translation and reference (its own functions, on the workers), Spark adds
them up, and sacrebleu makes the scores of the sums: no text is collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, MissingExtraError, SettingError, did_you_mean
from brightspark.core.scored_rows import bounded_collect, column, text_column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

METRICS = ("bleu", "chrf", "ter")
LENGTHS = (10, 20, 40)  # words of a reference: groups by length end here
GROUP_LIMIT = 10_000  # different values of `by`, lengths and states of rows together; more is no language
TOKENIZERS = ("13a", "intl", "char", "zh", "none")  # those of sacrebleu that need no further package


@dataclass(frozen=True)
class TranslationScores:
    """Scores of some rows together, on sacrebleu's scales; None where there are none to measure."""

    rows: int
    """translations with a reference"""
    bleu: float | None
    """0 to 100 (Papineni et al. 2002, doi:10.3115/1073083.1073135)"""
    chrf: float | None
    """0 to 100, character F2 (Popović 2015, doi:10.18653/v1/W15-3049)"""
    ter: float | None
    """edits for 100 words of the reference: the less, the better (Snover et al. 2006)"""


@dataclass(frozen=True)
class TranslationReport:
    """What `translation` measures; prints as a table, turns into JSON by `to_dict`."""

    rows: int
    failed: int
    """rows without a translation, which are not measured"""
    without_reference: int
    overall: TranslationScores
    by: dict[str, TranslationScores]
    """by the values of the column `by`"""
    by_length: dict[str, TranslationScores]
    """by the words of the reference"""
    signatures: dict[str, str]
    """how each was computed, in sacrebleu's own words: name them beside the scores"""

    def __str__(self) -> str:
        lines = [f"{self.rows:,} rows: {self.failed:,} failed, {self.without_reference:,} have no reference", ""]
        lines.append(f"{'':24}{'rows':>9}{'BLEU':>8}{'chrF':>8}{'TER':>8}")
        for name, scores in [("all", self.overall), *self.by.items(), *self.by_length.items()]:
            numbers = "".join(
                f"{'–' if value is None else format(value, '.2f'):>8}"
                for value in (scores.bleu, scores.chrf, scores.ter)
            )
            lines.append(f"{name[:23]:24}{scores.rows:>9,}{numbers}")
        return "\n".join([*lines, "", *(f"{name}: {signed}" for name, signed in self.signatures.items())])

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, strings and numbers that JSON knows."""
        return asdict(self)


def translation(
    scored: DataFrame,
    *,
    reference: str = "target",
    prediction: str = "translation",
    error: str = "error",
    by: str | None = None,
    tokenize: str = "13a",
) -> TranslationReport:
    """Measures translations against a reference each, all together, by length, and by a column such as the language.

    Reads the columns `reference` (string), `prediction` (string) and, where it is there, `error`. A row with an error
    or without a translation counts as failed, and is not measured. `tokenize` is sacrebleu's for BLEU: 13a for most
    languages, zh or char for those without spaces.

    Raises InputError for columns that are missing or no texts, and for a column `by` with too many values;
    SettingError for an unknown `tokenize`.
    """
    if tokenize not in TOKENIZERS:
        raise SettingError(f"tokenize={tokenize!r} is unknown; {did_you_mean(tokenize, TOKENIZERS)}")
    wanted, given = text_column(scored, reference), text_column(scored, prediction)
    if by is not None and by not in scored.columns:
        raise InputError(f"the table has no column {by!r}; {did_you_mean(by, scored.columns)}")
    group = F.lit("") if by is None else F.coalesce(column(by).cast("string"), F.lit("null"))
    answered = (column(error).isNull() if error in scored.columns else F.lit(True)) & given.isNotNull()
    rows = scored.select(
        answered.alias("answered"),
        wanted.isNotNull().alias("known"),
        group.alias("by"),
        _length(wanted).alias("length"),
        _counts(tokenize)(F.when(answered, given), F.when(answered, wanted)).alias("counts"),
    )
    return _report(rows, by is not None, tokenize)


def _report(rows: DataFrame, grouped: bool, tokenize: str) -> TranslationReport:
    widths = [len(_counted(metric, "", "")) for metric in _metrics(tokenize)]
    sums = [F.sum(F.get("counts", F.lit(place))).alias(f"sum{place}") for place in range(sum(widths))]
    counted = rows.groupBy("answered", "known", "by", "length").agg(F.count(F.lit(1)).alias("rows"), *sums)
    found = bounded_collect(counted, GROUP_LIMIT, "groups: is `by` a language, or the like?")
    measured = [row for row in found if row["answered"] and row["known"]]

    def scores(some: Sequence[Any]) -> TranslationScores:
        total = [sum(row[f"sum{place}"] for row in some) for place in range(sum(widths))] if some else []
        values: list[float | None] = []
        for metric, width in zip(_metrics(tokenize), widths, strict=True):
            part, total = total[:width], total[width:]
            values.append(float(metric._compute_score_from_stats(part).score) if some else None)
        return TranslationScores(sum(row["rows"] for row in some), *values)

    return TranslationReport(
        rows=sum(row["rows"] for row in found),
        failed=sum(row["rows"] for row in found if not row["answered"]),
        without_reference=sum(row["rows"] for row in found if row["answered"] and not row["known"]),
        overall=scores(measured),
        by={
            name: scores([row for row in measured if row["by"] == name])
            for name in (sorted({row["by"] for row in measured}) if grouped else ())
        },
        by_length={
            name: scores([row for row in measured if row["length"] == number])
            for number, name in enumerate(_length_names())
            if any(row["length"] == number for row in measured)
        },
        signatures={name: _signature(metric) for name, metric in zip(METRICS, _metrics(tokenize), strict=True)},
    )


def _metrics(tokenize: str) -> list[Any]:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
        from sacrebleu.metrics.ter import TER
    except ModuleNotFoundError as error:
        raise MissingExtraError("BLEU, chrF and TER need sacrebleu: pip install 'brightspark[nlp]'") from error
    # Pairs are counted one by one: what matters is how many references each has.
    return [BLEU(tokenize=tokenize), CHRF(), TER()]


def _signature(metric: Any) -> str:
    metric.corpus_score([""], [[""]])  # a signature says how many references there were
    return str(metric.get_signature())


def _counted(metric: Any, given: str, wanted: str) -> list[float]:
    """sacrebleu's counts of a pair: matches and lengths by order, edits."""
    ((*counts,),) = metric._extract_corpus_statistics([given], [[wanted]])
    return [float(count) for count in counts]


def _counts(tokenize: str) -> Any:
    """A function of Spark: the counts of all three metrics in one array, null where a text is null."""

    def counts(given: pa.Array, wanted: pa.Array) -> pa.Array:
        metrics = _metrics(tokenize)
        rows = [
            None if said is None or meant is None else [n for metric in metrics for n in _counted(metric, said, meant)]
            for said, meant in zip(given.to_pylist(), wanted.to_pylist(), strict=True)
        ]
        return pa.array(rows, pa.list_(pa.float64()))

    return F.arrow_udf(counts, "array<double>")  # type: ignore[attr-defined]


def _length(reference: Column) -> Column:
    """The number of a reference's group by length."""
    words = F.size(F.split(F.trim(reference), r"\s+"))
    return sum(((words > most).cast("int") for most in LENGTHS), start=F.lit(0))


def _length_names() -> list[str]:
    starts = [1, *(most + 1 for most in LENGTHS)]
    return [
        *(f"{start} to {most} words" for start, most in zip(starts, LENGTHS, strict=False)),
        f"more than {LENGTHS[-1]} words",
    ]
