"""Transcripts against references: word and character error rates, exactly jiwer's, as a few Spark aggregations.

jiwer aligns each pair of transcript and reference (its own functions, on the workers), and Spark adds up the counts: no
text is collected but the worst ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, MissingExtraError, SettingError, did_you_mean
from brightspark.core.persisted import persisted
from brightspark.core.scored_rows import bounded_collect, column, text_column
from brightspark.core.transcription_report import TranscriptionReport, TranscriptionScores, Utterance

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SECONDS = (2, 5, 10, 30)  # of a recording: groups by duration end here
GROUP_LIMIT = 10_000  # different values of a column of `by`; more is no speaker, no language
COUNTS = ("words", "substitutions", "deletions", "insertions", "characters", "character_errors")
EXTRA = "error rates need {}: pip install 'brightspark[speech]'"


def transcription(
    scored: DataFrame,
    *,
    reference: str = "reference",
    prediction: str = "text",
    error: str = "error",
    key: str | None = None,
    by: Sequence[str] = (),
    duration: str = "duration",
    normaliser: str = "basic",
    worst: int = 10,
    confused: int = 10,
) -> TranscriptionReport:
    """Measures transcripts against a reference each: all together, by columns such as the speaker, and by duration.

    Reads the columns `reference` and `prediction` (strings), `error` and `duration` (seconds) where they are there, and
    `key`, by default `path`, which names a recording among the worst. A row with an error or without a transcript
    counts as failed, and is not measured; an empty transcript is one: all that was said is deleted.

    `normaliser` is one of `none`; `basic`, without case, punctuation and brackets; and `english`, which also writes
    numbers, contractions and titles alike. Both are Whisper's (Radford et al. 2022, appendix C), without its list of
    British spellings.

    Raises InputError for columns that are missing or no texts, and for a column of `by` with too many values;
    SettingError for an unknown `normaliser`.
    """
    if normaliser not in NORMALISERS:
        raise SettingError(f"normaliser={normaliser!r} is unknown; {did_you_mean(normaliser, NORMALISERS)}")
    for name in (*by, *filter(None, [key])):
        if name not in scored.columns:
            raise InputError(f"the table has no column {name!r}; {did_you_mean(name, scored.columns)}")
    wanted, given = text_column(scored, reference), text_column(scored, prediction)
    answered = (column(error).isNull() if error in scored.columns else F.lit(True)) & given.isNotNull()
    named = key or ("path" if "path" in scored.columns else None)
    rows = scored.select(
        answered.alias("answered"),
        wanted.isNotNull().alias("known"),
        wanted.alias("wanted"),
        given.alias("given"),
        (F.lit("") if named is None else column(named).cast("string")).alias("key"),
        (_length(column(duration)) if duration in scored.columns else F.lit(None).cast("int")).alias("length"),
        *[F.coalesce(column(name).cast("string"), F.lit("null")).alias(f"by{place}") for place, name in enumerate(by)],
        _aligned(normaliser)(F.when(answered, given), F.when(answered, wanted)).alias("aligned"),
    )
    with persisted(rows) as held:
        groups = {name: _groups(held, F.col(f"by{place}"), name) for place, name in enumerate(by)}
        states = {
            (row["answered"], row["known"]): row["rows"]
            for row in held.groupBy("answered", "known").agg(F.count(F.lit(1)).alias("rows")).collect()
        }
        return TranscriptionReport(
            rows=sum(states.values()),
            failed=sum(rows for (answered, _), rows in states.items() if not answered),
            without_reference=states.get((True, False), 0),
            normaliser=normaliser,
            overall=_groups(held, F.lit("all")).get("all", _scores({})),
            by=groups,
            by_duration=_by_duration(held),
            worst=_worst(held, worst),
            confused=_confused(held, confused),
        )


def _groups(rows: DataFrame, group: Column, called: str = "") -> dict[str, TranscriptionScores]:
    """The scores by the values of a column of texts; `called` is what the caller knows it by."""
    sums = [F.sum(f"aligned.{count}").alias(count) for count in COUNTS]
    measured = rows.filter("answered AND known").groupBy(group.alias("group"))
    found = bounded_collect(
        measured.agg(F.count(F.lit(1)).alias("rows"), *sums),
        GROUP_LIMIT,
        f"values: is {called} a speaker, or the like?",
    )
    return {row["group"]: _scores(row.asDict()) for row in sorted(found, key=lambda row: row["group"])}


def _scores(sums: Mapping[str, Any]) -> TranscriptionScores:
    counts = {name: int(sums.get(name) or 0) for name in ("rows", *COUNTS)}
    errors = counts["substitutions"] + counts["deletions"] + counts["insertions"]
    characters, character_errors = counts.pop("characters"), counts.pop("character_errors")
    return TranscriptionScores(
        **counts,
        wer=errors / counts["words"] if counts["words"] else None,
        cer=character_errors / characters if characters else None,
    )


def _by_duration(rows: DataFrame) -> dict[str, TranscriptionScores]:
    starts = [0, *SECONDS]
    names = [f"{start} to {end} s" for start, end in zip(starts, SECONDS, strict=False)] + [f"above {SECONDS[-1]} s"]
    found = _groups(rows.filter("length IS NOT NULL"), F.col("length").cast("string"))
    return {name: found[str(place)] for place, name in enumerate(names) if str(place) in found}


def _worst(rows: DataFrame, number: int) -> tuple[Utterance, ...]:
    errors = F.col("aligned.substitutions") + F.col("aligned.deletions") + F.col("aligned.insertions")
    measured = rows.filter("answered AND known").withColumn("errors", errors).filter("errors > 0")
    chosen = measured.orderBy(F.desc("errors"), "key", "wanted").limit(number).collect()
    return tuple(
        Utterance(
            key=row["key"], reference=row["wanted"], text=row["given"], errors=row["errors"],
            wer=row["errors"] / row["aligned"]["words"] if row["aligned"]["words"] else float("inf"),
        )
        for row in chosen
    )  # fmt: skip


def _confused(rows: DataFrame, number: int) -> tuple[tuple[str, str, int], ...]:
    pairs = rows.select(F.explode("aligned.confused").alias("pair")).groupBy("pair.said", "pair.written").count()
    chosen = pairs.orderBy(F.desc("count"), "said", "written").limit(number).collect()
    return tuple((row["said"], row["written"], row["count"]) for row in chosen)


def _length(seconds: Column) -> Column:
    """The number of a recording's group by duration."""
    return F.when(seconds.isNotNull(), sum(((seconds > most).cast("int") for most in SECONDS), start=F.lit(0)))


ALIGNED = pa.struct([
    *[(name, pa.int64()) for name in COUNTS],
    ("confused", pa.list_(pa.struct([("said", pa.string()), ("written", pa.string())]))),
])  # fmt: skip


def _aligned(normaliser: str) -> Any:
    """A function of Spark: the counts of a pair of texts, and the words that stand for others; null for a null text."""

    def aligned(given: pa.Array, wanted: pa.Array) -> pa.Array:
        alike = NORMALISERS[normaliser]()
        rows = [
            None if said is None or meant is None else align(alike(meant), alike(said))
            for said, meant in zip(given.to_pylist(), wanted.to_pylist(), strict=True)
        ]
        return pa.array(rows, ALIGNED)

    kinds = ", ".join(f"{name}: bigint" for name in COUNTS)
    return F.arrow_udf(  # type: ignore[attr-defined]
        aligned, f"struct<{kinds}, confused: array<struct<said: string, written: string>>>"
    )


def align(reference: str, hypothesis: str) -> dict[str, Any]:
    """jiwer's counts of a pair, and the words of the reference that others stand for.

    >>> counts = align("turn the lights off", "turn a light off now")
    >>> counts["words"], counts["substitutions"], counts["deletions"], counts["insertions"]
    (4, 2, 0, 1)
    >>> counts["confused"]
    [{'said': 'the', 'written': 'a'}, {'said': 'lights', 'written': 'light'}]

    Raises MissingExtraError without jiwer.
    """
    try:
        import jiwer
    except ModuleNotFoundError as error:
        raise MissingExtraError(EXTRA.format("jiwer")) from error
    words, characters = jiwer.process_words(reference, hypothesis), jiwer.process_characters(reference, hypothesis)
    said, written = words.references[0], words.hypotheses[0]
    confused = [
        {"said": said[chunk.ref_start_idx + place], "written": written[chunk.hyp_start_idx + place]}
        for chunk in words.alignments[0]
        if chunk.type == "substitute"
        for place in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]
    return {
        "words": words.hits + words.substitutions + words.deletions,
        "substitutions": words.substitutions,
        "deletions": words.deletions,
        "insertions": words.insertions,
        "characters": characters.hits + characters.substitutions + characters.deletions,
        "character_errors": characters.substitutions + characters.deletions + characters.insertions,
        "confused": confused,
    }


def _basic() -> Callable[[str], str]:
    return _whisper().BasicTextNormalizer()  # type: ignore[no-any-return]


def _english() -> Callable[[str], str]:
    return _whisper().EnglishTextNormalizer({})  # type: ignore[no-any-return]


def _whisper() -> Any:
    try:
        from transformers.models.whisper import english_normalizer
    except ModuleNotFoundError as error:
        raise MissingExtraError(EXTRA.format("transformers")) from error
    return english_normalizer


NORMALISERS: Mapping[str, Callable[[], Callable[[str], str]]] = {
    "none": lambda: str,
    "basic": _basic,
    "english": _english,
}
