"""Bytes as texts: whatever encoding they are in, a text, or the reason why they are none. Knows no Spark."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from brightspark.core.errors import InputError
from brightspark.core.predictor import Predictor, Record, Work
from brightspark.core.settings import ScoringSettings

DECODED = pa.struct([("text", pa.string())])
MOST_DAMAGE = 0.1  # share of characters that may be U+FFFD or control characters: with more it is no text
MAX_TEXT_BYTES = 16 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, kw_only=True)
class DecodingSettings(ScoringSettings):
    """How bytes become texts."""

    column: str = "path"
    """A column of paths (string) or of bytes (binary)."""

    encoding: str = "utf-8"
    device: str = "cpu"


def load(folder: Path, device: str, settings: DecodingSettings) -> Predictor:
    """The engine's predictor that opens files and decodes them, with no network in it."""

    def split(record: Record, work: Work) -> Iterator[str]:
        source = record[settings.column]
        if source is None:
            raise InputError("there is no text: the value is null")
        if isinstance(source, str):
            with work.open(source) as file:
                source = file.read()
        yield decoded(source, settings.encoding)

    return Predictor(
        columns=(settings.column,),
        answer_type=DECODED,
        split=split,
        prepare=list,
        predict=lambda texts: [{"text": text} for text in texts],
        batch_cost=settings.batch_size,
    )


def decoded(content: bytes, encoding: str = "utf-8") -> str:
    """Bytes as text: by their byte order mark where they have one, else in `encoding`.

    Bytes that the encoding does not have become U+FFFD. Raises InputError where these and control characters are more
    than MOST_DAMAGE of all: then it is no text, or in another encoding.

    >>> decoded("grün".encode("latin-1"), "latin-1"), decoded(b"one bad \\xff byte")
    ('grün', 'one bad \\ufffd byte')
    """
    for mark, name in _MARKS:
        if content.startswith(mark):
            encoding = name
            break
    text = content.decode(encoding, errors="replace")
    damaged = sum(character == "\ufffd" or (character < " " and character not in "\t\n\r\f\v") for character in text)
    if damaged > MOST_DAMAGE * len(text):
        raise InputError(
            f"{damaged:,} of {len(text):,} characters are none in {encoding}: this is no text, or in another encoding"
        )
    return text
