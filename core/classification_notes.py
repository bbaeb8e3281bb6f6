"""The reasons that a classification report gives: why a number is None, and what one leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from brightspark.core.classification_report import SUMMARY
from brightspark.core.probability_scores import TOP_K
from brightspark.core.ranking_curves import RankingCurve, asked_classes, defined_areas
from brightspark.core.scored_rows import Pairs

NAMED = 5  # strange truths that a note names
NEEDED = {"auroc": "pair of a positive and a negative row", "average_precision": "positive row"}


def report_notes(
    pairs: Pairs, known: Sequence[str], curves: Mapping[str, RankingCurve], *, no_column: str, max_curves: int
) -> dict[str, str]:
    """Reasons by what they are about: a metric, `coverage`, `labels`, `probability`.

    `no_column` is the name of a probability column that is not there.
    """
    notes = _abstentions(pairs)
    if not pairs.measured:
        nothing = "no row has both a truth and an answer"
        return notes | {name: nothing for name in SUMMARY if name != "top_k_accuracy"}
    truths = Counter[str]()
    for (truth, _), rows in pairs.confusion.items():
        truths[truth] += rows
    notes |= strange_truths(truths, known)
    usable = sum(pairs.usable.values())
    if unreadable := why_unreadable(known, usable, no_column):
        needing = ("log_loss", "brier", "calibration_error", *NEEDED)
        return notes | dict.fromkeys((*needing, "top_k_accuracy") if len(known) > TOP_K else needing, unreadable)
    if usable < pairs.measured:
        notes["probability"] = missing_probability(pairs.measured - usable)
    if len(known) > max_curves:
        return notes | dict.fromkeys(NEEDED, too_many(known))
    return notes | _undefined_areas(known, curves)


def _abstentions(pairs: Pairs) -> dict[str, str]:
    if not pairs.abstained:
        return {}
    return {"coverage": f"the model abstained on {pairs.abstained:,} rows: every number is over those it answered"}


def strange_truths(truths: Mapping[str, int], known: Sequence[str]) -> dict[str, str]:
    """A note on `labels` where rows have a truth that is not among the `known` ones, if any are known."""
    strange = Counter({name: rows for name, rows in truths.items() if known and rows and name not in known})
    if not strange:
        return {}
    named = listed([f"{name!r} ({rows:,} rows)" for name, rows in strange.most_common()])
    return {"labels": f"truths that are not among the labels count as wrong: {named}"}


def listed(words: Sequence[str]) -> str:
    """The first few of many words, and how many more there are."""
    more = f" and {len(words) - NAMED:,} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more


def why_unreadable(known: Sequence[str], usable: int, no_column: str) -> str:
    """Why no probability can be read; empty where some can."""
    if no_column:
        return f"there is no column {no_column!r}"
    if not known:
        return "the order of the labels is not known: pass labels=…"
    return "" if usable else "no measured row holds a usable probability"


def missing_probability(rows: int) -> str:
    """What became of rows without a usable probability."""
    return f"null or NaN in {rows:,} measured rows: left out of the numbers that need it"


def too_many(known: Sequence[str]) -> str:
    """Why there are no areas of so many labels."""
    return f"left out because there are {len(known):,} labels: ask for it with max_curves={len(known)}"


def _undefined_areas(known: Sequence[str], curves: Mapping[str, RankingCurve]) -> dict[str, str]:
    asked = asked_classes(known)
    notes = {}
    for name, needed in NEEDED.items():
        defined = len(defined_areas(curves, asked, name))
        if not defined:
            notes[name] = f"undefined: there is no {needed}"
        elif defined < len(asked):
            notes[name] = f"the mean of {defined:,} of {len(asked):,} labels: of each other there is no {needed}"
    return notes
