"""What `brightspark.core.transcription_metrics` answers with: a report that prints and turns into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TranscriptionScores:
    """How some recordings were transcribed, together; rates are None where nothing was said."""

    rows: int
    """transcripts with a reference"""
    words: int
    """of the references"""
    substitutions: int
    deletions: int
    """words that were said and not written"""
    insertions: int
    """words that were written and not said"""
    wer: float | None
    """(substitutions + deletions + insertions) ÷ words: above 1 where much is written that was not said"""
    cer: float | None
    """the same of characters, spaces among them"""


@dataclass(frozen=True)
class Utterance:
    """A transcript with many errors."""

    key: str
    reference: str
    text: str
    errors: int
    """substitutions, deletions and insertions of words, as normalised"""
    wer: float
    """infinite where nothing was said"""


@dataclass(frozen=True)
class TranscriptionReport:
    """What `transcription` measures; prints as a table, turns into JSON by `to_dict`."""

    rows: int
    failed: int
    """rows without a transcript, which are not measured"""
    without_reference: int
    normaliser: str
    """how texts were made alike before they were compared: name it beside the scores"""
    overall: TranscriptionScores
    by: Mapping[str, Mapping[str, TranscriptionScores]]
    """by the columns that were named, and their values"""
    by_duration: Mapping[str, TranscriptionScores]
    """by the seconds of the recording, where a column has them"""
    worst: tuple[Utterance, ...]
    """with the most errors, the worst first"""
    confused: tuple[tuple[str, str, int], ...]
    """(said, written, how often): the words that stand for others most often"""

    def __str__(self) -> str:
        lines = [
            f"{self.rows:,} rows: {self.failed:,} failed, {self.without_reference:,} have no reference; normalised: "
            f"{self.normaliser}",
            "",
            f"{'':24}{'rows':>9}{'words':>10}{'WER':>9}{'CER':>9}{'subst.':>9}{'deleted':>9}{'inserted':>9}",
        ]
        groups = [*(item for each in self.by.values() for item in each.items()), *self.by_duration.items()]
        for name, one in [("all", self.overall), *groups]:
            rates = "".join(f"{'–' if rate is None else format(rate, '.2%'):>9}" for rate in (one.wer, one.cer))
            counts = "".join(f"{count:>9,}" for count in (one.substitutions, one.deletions, one.insertions))
            lines.append(f"{name[:23]:24}{one.rows:>9,}{one.words:>10,}{rates}{counts}")
        if self.confused:
            pairs = ", ".join(f"{said} → {written} ({count:,})" for said, written, count in self.confused)
            lines += ["", f"most often confused: {pairs}"]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, strings and numbers that JSON knows."""
        return asdict(self)
