"""How long an MP3 file is, where its header does not say it. Knows neither torch nor Spark.

Without a length in the header (frames, in a first frame that is called Xing or Info), libsndfile guesses one by the
first frame's bit rate, and with the length of another one, where several files were put one behind the other as
podcasts are, it believes that. In both cases it reads no further: of an hour it gives minutes, and no error. So the
frames are counted here, and their number is put in front.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from brightspark.speech.source import Source

READ_BYTES = 1 << 20
MOST_DAMAGE_BYTES = 8 << 20  # between two frames (a tag with a cover, where files were put together): then it ends
FRAME_BYTES = 2 << 10  # more than any frame has

_MPEG1, _MPEG2, _MPEG25 = 3, 2, 0
_BITS = {  # kbit/s by the index in a frame's header, 1 to 14
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
}
_RATES = {_MPEG1: (44100, 48000, 32000), _MPEG2: (22050, 24000, 16000), _MPEG25: (11025, 12000, 8000)}
_LAYER3, _MONO = 1, 3
_LAST_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBE")  # behind the last frame
_MAYBE = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")  # of layer III, any version, with checksum or without


class Mended(NamedTuple):
    """What is to be read in place of an MP3's first bytes."""

    head: bytes
    skip: int


class _Frame(NamedTuple):
    """What the four bytes before a frame of layer III say."""

    version: int
    rate: int
    mono: bool
    bytes: int

    @property
    def side_bytes(self) -> int:
        """Between those four bytes and a length."""
        if self.version == _MPEG1:
            return 17 if self.mono else 32
        return 9 if self.mono else 17


def is_mpeg(file: Source) -> bool:
    """Whether a file begins with a frame of layer III."""
    file.seek(_after_tag(file))
    return _frame(file.read(4)) is not None


def has_length(file: Source) -> bool:
    """Whether the first frame of an MP3 holds a length, and one of the whole file."""
    start = _after_tag(file)
    file.seek(start)
    frame = _frame(file.read(4))
    if frame is None:
        return False
    file.seek(start + 4 + frame.side_bytes)
    found = file.read(16)
    if found[:4] not in (b"Xing", b"Info") or len(found) < 16:
        return False
    flags, frames, length = struct.unpack(">III", found[4:])
    if flags & 3 != 3:  # frames and bytes
        return bool(flags & 1 and frames)
    file.seek(start + length)
    is_all = file.size - start - length < FRAME_BYTES or file.read(8).startswith(_LAST_TAGS)
    return bool(frames) and is_all


def counted(file: Source) -> Mended:
    """A first frame that holds the right length of an MP3, found by reading it to its end."""
    start = _after_tag(file)
    file.seek(start)
    return Mended(_length_frame(file.read(4), sum(1 for _ in _frames(file, start))), start)


def _after_tag(file: Source) -> int:
    """Where the frames begin: after an ID3 tag, which may hold pictures."""
    file.seek(0)
    tag = file.read(10)
    if tag[:3] != b"ID3" or len(tag) < 10:
        return 0
    high, middle, low, lowest = tag[6:10]
    return 10 + (high << 21 | middle << 14 | low << 7 | lowest) + (10 if tag[5] & 0x10 else 0)


def _frame(head: bytes) -> _Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, bits, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if head[1] >> 1 & 3 != _LAYER3 or version not in _RATES or not 1 <= bits <= 14 or rate == 3:
        return None
    hertz, halves = _RATES[version][rate], 144 if version == _MPEG1 else 72
    length = halves * 1000 * _BITS[version == _MPEG1][bits - 1] // hertz + (head[2] >> 1 & 1)
    return _Frame(version, hertz, head[3] >> 6 == _MONO, length)


def _frames(file: Source, at: int) -> Iterator[int]:
    """Where each frame begins. After damage it goes on where two frames follow each other."""
    held, before = b"", at  # what was read, and where that begins
    rate, sound = None, at  # of the last frame, and where it ended
    while at - sound < MOST_DAMAGE_BYTES:
        if at + 4 > before + len(held):
            file.seek(at)
            held, before = file.read(READ_BYTES), at
            if len(held) < 4:
                return
        place = at - before
        frame = _frame(held[place : place + 4])
        if frame is not None and (frame.rate == rate or _followed(file, at, frame)):
            yield at
            at += frame.bytes
            rate, sound = frame.rate, at
        else:
            found = _MAYBE.search(held, place + 1)
            at = before + (found.start() if found else len(held) - 1)
            rate = None


def _followed(file: Source, at: int, frame: _Frame) -> bool:
    file.seek(at + frame.bytes)
    head = file.read(4)
    follower = _frame(head)
    return not head or (follower is not None and follower.rate == frame.rate)


def _length_frame(first: bytes, frames: int) -> bytes:
    """A silent frame like the first one that holds the number of those behind it."""
    head = bytes([0xFF, first[1] | 1, first[2] & 0x0D | 0x80, first[3]])  # no checksum; bits that leave room
    frame = _frame(head)
    assert frame is not None
    return (head + bytes(frame.side_bytes) + b"Xing" + struct.pack(">II", 1, frames)).ljust(frame.bytes, b"\0")
