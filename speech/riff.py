"""How many bytes of samples the header of a WAV, AIFF or AU file claims. Knows neither torch nor Spark.

libsndfile reads what there is and says nothing of what is missing.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from brightspark.speech.source import Source

MOST_CHUNKS = 1_000  # looked at; a damaged file might have one every eight bytes
MOST_HEAD_BYTES = 64 << 10  # before the samples, of a file whose header is mended
NEAR = 4 << 10  # bytes from 2³¹ or 2³², where streaming writers put what they cannot know yet

_ORDERS = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">", b"FORM": ">"}
_SSND_FACTS = 8  # bytes in AIFF's chunk of samples, before them


class Claim(NamedTuple):
    """The chunk that holds a file's samples."""

    at: int
    """Where they begin."""
    bytes: int | None
    """As many as the header says; None where it does not, as in what was written into a pipe."""


def find_samples(file: Source) -> Claim | None:
    """Where a RIFF, RIFX, RF64, AIFF or AU file says that its samples are; None for others, and where it does not."""
    file.seek(0)
    start = file.read(12)
    if start[:4] == b".snd" and len(start) == 12:
        at, size = struct.unpack(">II", start[4:])
        return Claim(at, _known(size))
    order = _ORDERS.get(start[:4])
    if order is None or len(start) < 12:
        return None
    at, long_size = 12, None
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return None
        name, (size,) = head[:4], struct.unpack(f"{order}I", head[4:])
        if name == b"ds64":  # of RF64: lengths that 32 bits do not hold
            facts = file.read(16)
            long_size = struct.unpack("<Q", facts[8:])[0] if len(facts) == 16 else None
        if name == b"data":
            return Claim(at + 8, long_size if long_size is not None else _known(size))
        if name == b"SSND":
            return Claim(at + 8 + _SSND_FACTS, _known(size - _SSND_FACTS))
        at += 8 + size + size % 2
    return None


def closed(file: Source, claim: Claim) -> bytes | None:
    """The header of a WAV file as its writer would have left it, had it come to that.

    A recorder that loses its power, or that writes into a pipe, leaves a length of 0 before samples up to the end of
    the file, of which libsndfile would read none. None where the header is right, or not to be mended.
    """
    if claim.bytes != 0 or claim.at >= file.size or claim.at > MOST_HEAD_BYTES:
        return None
    file.seek(0)
    head, after = file.read(claim.at), file.read(8)
    if head[:4] != b"RIFF" or _is_chunk(after, file.size - claim.at):
        return None
    return head[:-4] + struct.pack("<I", min(file.size - claim.at, (1 << 32) - 2))


def _known(size: int) -> int | None:
    return None if any(abs(size - edge) <= NEAR for edge in (1 << 31, 1 << 32)) else max(0, size)


def _is_chunk(head: bytes, room: int) -> bool:
    """Whether there is a further chunk, and no samples."""
    return len(head) == 8 and head[:4].isascii() and head[:4].isalnum() and struct.unpack("<I", head[4:])[0] + 8 <= room
