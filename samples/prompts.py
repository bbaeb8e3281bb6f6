"""What a telephone exchange says: English prompts of one speaker, with their texts."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

FOLDERS = ("dictate", "digits", "followme", "letters", "phonetic")  # `silence` holds none that speaks
_SOUNDS = rf"\./usr/share/asterisk/sounds/en_US_f_Allison/(?P<name>((?:{'|'.join(FOLDERS)})/)?[\w-]+\.wav)"
_TEXTS = r"\./usr/share/doc/asterisk-core-sounds-en/core-sounds-en\.txt\.gz"
_MAX_BYTES = 2_000_000  # the longest prompt has 1.2 MB
_BRACKETS = re.compile(r"\[.*?\]|<.*?>|\(.*?\)")  # a sign, a sound or a note: nothing that is said


def prompts() -> Path:
    """A folder of 551 prompts of Asterisk, a telephone exchange, spoken by Allison Smith, and `prompts.csv`.

    A prompt lies at `<name>.wav`, or in a folder like `digits`: one channel, 8 kHz, 16 bit, 0.6 to 73 s, 24 minutes in
    all. `prompts.csv` has the columns path (below the folder) and text, ordered by path. Texts are as they were
    written down: figures stand as figures, `*` and `#` for "star" and "pound", and dots for a sentence that another
    prompt begins or ends. What stands in brackets is not said and left out: `dash [-]` is `dash`; tones, silence and
    the sound of monkeys screaming are no prompts at all.

    They come from Debian, with apt: where there is none, the error says what to do.

    Raises:
        StorageError: the prompts cannot be fetched.
    """
    sounds, texts = "asterisk-sounds", "asterisk-texts"
    return cache.made(f"prompts-{find(sounds).version}", lambda folder: _write(fetch(sounds), fetch(texts), folder))


def _write(sounds: Path, texts: Path, folder: Path) -> None:
    [(_, content)] = members(texts, _TEXTS, max_bytes=_MAX_BYTES)
    said = spoken(gzip.decompress(content).decode("utf-8"))
    rows = []
    for name in ("", *FOLDERS):
        (folder / name).mkdir(parents=True)
    for name, sound in members(sounds, _SOUNDS, max_bytes=_MAX_BYTES):
        text = said.get(name.removesuffix(".wav"))
        if text:
            (folder / name).write_bytes(sound)
            rows.append((name, text))
    with (folder / "prompts.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "text"), *sorted(rows)])


def spoken(lines: str) -> dict[str, str]:
    """The text of each prompt by its name, from lines like `name: text`; of one that says nothing, an empty text.

    >>> spoken("letters/at: at [@]\\nbeep: [this is a simple beep tone]")
    {'letters/at': 'at', 'beep': ''}
    """
    named = (line.partition(":") for line in lines.splitlines() if not line.startswith(";"))  # a comment
    return {name: " ".join(_BRACKETS.sub(" ", text).split()) for name, colon, text in named if colon}
