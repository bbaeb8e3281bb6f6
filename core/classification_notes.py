"""The reasons that a classification report gives: why a number is None, and what one leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from brightspark.core.classification_report import SUMMARY
from brightspark.core.probability_scores import TOP_K
from brightspark.core.ranking_curves import RankingCurve, defined_areas
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
    notes |= _strange_truths(pairs, known)
    usable = sum(pairs.usable.values())
    if unreadable := _why_unreadable(known, usable, no_column):
        needing = ("log_loss", "brier", "calibration_error", *NEEDED)
        return notes | dict.fromkeys((*needing, "top_k_accuracy") if len(known) > TOP_K else needing, unreadable)
    if usable < pairs.measured:
        left_out = pairs.measured - usable
        notes["probability"] = f"null or NaN in {left_out:,} measured rows: left out of the numbers that need it"
    if len(known) > max_curves:
        why = f"left out because there are {len(known):,} labels: ask for it with max_curves={len(known)}"
        return notes | dict.fromkeys(NEEDED, why)
    return notes | _undefined_areas(known, curves)


def _abstentions(pairs: Pairs) -> dict[str, str]:
    if not pairs.abstained:
        return {}
    return {"coverage": f"the model abstained on {pairs.abstained:,} rows: every number is over those it answered"}


def _strange_truths(pairs: Pairs, known: Sequence[str]) -> dict[str, str]:
    strange = Counter[str]()
    for (truth, _), rows in pairs.confusion.items():
        if known and truth not in known:
            strange[truth] += rows
    if not strange:
        return {}
    named = ", ".join(f"{name!r} ({rows:,} rows)" for name, rows in strange.most_common(NAMED))
    more = f" and {len(strange) - NAMED:,} more" if len(strange) > NAMED else ""
    return {"labels": f"truths that are not among the labels count as wrong: {named}{more}"}


def _why_unreadable(known: Sequence[str], usable: int, no_column: str) -> str:
    if no_column:
        return f"there is no column {no_column!r}"
    if not known:
        return "the order of the labels is not known: pass labels=…"
    return "" if usable else "no measured row holds a usable probability"


def _undefined_areas(known: Sequence[str], curves: Mapping[str, RankingCurve]) -> dict[str, str]:
    asked = 1 if len(known) == 2 else len(known)
    notes = {}
    for name, needed in NEEDED.items():
        defined = len(defined_areas(curves, known, name))
        if not defined:
            notes[name] = f"undefined: there is no {needed}"
        elif defined < asked:
            notes[name] = f"the mean of {defined:,} of {asked:,} labels: of each other there is no {needed}"
    return notes
