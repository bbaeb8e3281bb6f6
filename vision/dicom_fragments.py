"""Where the frames of compressed pixels are: by the tables of offsets, or by one walk over the fragments.

PS3.5 A.4: pixels come as a table of offsets, which may be empty, and fragments, of which a frame has one or more.
Knows pydicom.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from pydicom.encaps import generate_fragments, parse_basic_offsets, parse_fragments

from brightspark.core.errors import InputError
from brightspark.vision.stored import StoredFile

_ITEM_BYTES = 8  # the head of a fragment: the last one may be missing
_TAIL_BYTES = 10  # of a fragment, among which a JPEG's end is
_END_OF_IMAGE = b"\xff\xd9"
_TABLE_BYTES = 16 << 20  # of offsets, or of what is read of fragments to find them: two million
_NO_END = 1 << 62


class Places(NamedTuple):
    """Where frames begin and end in a file; the last one may end with the pixels."""

    starts: np.ndarray[Any, np.dtype[np.int64]]
    ends: np.ndarray[Any, np.dtype[np.int64]]


def find_frames(file: StoredFile, at: int, frames: int, extended: tuple[bytes, bytes] | None) -> Places:
    """The places of so many frames, whose pixels begin at a byte.

    `extended` is the extended table of offsets and the one of lengths. Where the basic table lacks frames, fragments
    are looked at.
    """
    file.seek(at)
    bounded = _Bounded(file, _TABLE_BYTES, "there are more fragments than a file can have")
    offsets = parse_basic_offsets(bounded)
    first = file.tell()
    if extended is not None:
        starts, lengths = (np.frombuffer(table, "<i8") for table in extended)
        return Places(first + starts, first + starts + _ITEM_BYTES + lengths)
    starts = first + np.asarray(offsets, np.int64)
    if len(starts) < frames:
        starts = max(starts, np.asarray(_walk(bounded, frames), np.int64), key=len)
    return Places(starts, np.append(starts[1:], _NO_END))


def _walk(file: _Bounded, frames: int) -> list[int]:
    """Where frames begin: with each fragment, or behind each that holds a codestream's end."""
    found = parse_fragments(file)[1]
    if frames in (1, len(found)):
        return found[:frames]
    return found[:1] + [after for start, after in pairwise(found) if _ends(file, start, after)]


def _ends(file: _Bounded, start: int, after: int) -> bool:
    """Whether a codestream ends with the fragment between two places."""
    tail = max(start + _ITEM_BYTES, after - _TAIL_BYTES)
    file.seek(tail)
    return _END_OF_IMAGE in file.read(after - tail)


def read_frame(file: StoredFile, places: Places, index: int, limit: int) -> bytes:
    """The codestream of a frame. Raises InputError where it is not there, cut short, or longer than `limit` bytes."""
    if index >= len(places.starts):
        raise InputError(f"frame {index:,} is not among the {len(places.starts):,} that were found")
    file.seek(int(places.starts[index]))
    bounded = _Bounded(file, limit, "the compressed frame is larger than the header's rows and columns allow")
    fragments = []
    for fragment in generate_fragments(bounded):
        fragments.append(fragment)
        if file.tell() >= places.ends[index]:
            break
    return b"".join(fragments)


class _Bounded:
    """A file of which only so much may be read."""

    def __init__(self, file: StoredFile, limit: int, reason: str) -> None:
        self._file, self._left, self._reason = file, limit, reason
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > self._left:
            size = self._left + 1
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InputError(self._reason)
        if len(data) < size and size > _ITEM_BYTES:
            raise InputError(f"they are cut short: {len(data):,} of a fragment's {size:,} bytes are there")
        return data
