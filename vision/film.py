"""A video that stays open: the frame on display at a time, and where the video really ends. Knows no torch, no Spark.

A frame is decoded from the key frame before it, and those after it without going back: frames that are asked for in
order are decoded once. Packets are read ahead of the decoder up to the time that is asked for, and what lies before
the last key frame on the way is never decoded.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import dropwhile
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from av import VideoFrame
from av.error import FFmpegError

from brightspark.core.errors import InputError
from brightspark.vision.demux import Demuxer, Packet
from brightspark.vision.images import MAX_PIXELS

QUEUE_BYTES = 32 << 20  # packets read ahead of the decoder in search of a key frame
FAR_SECONDS = 10  # ahead of which it is cheaper to seek than to read on

_ONE = 1 << 16  # 1 in a display matrix
_BEFORE_ALL = -(1 << 62)  # ticks
_AFTER_ALL = 1 << 52  # ticks; FFmpeg converts between time bases, which must not overflow


Matrix: TypeAlias = tuple[int, int, int, int]


class Shown(NamedTuple):
    """A decoded frame and when it comes on display, in ticks of the stream."""

    time: int
    frame: VideoFrame


class Film:
    """A video file that stands at a frame. Not for several threads at once."""

    def __init__(self, file: BinaryIO, *, max_pixels: int = MAX_PIXELS) -> None:
        """Reads the header and decodes the first frame. `close` closes the file, too.

        Raises InputError where it is no video, has too many pixels, or no frame of it can be decoded.
        """
        self.max_pixels = max_pixels
        self.decoded = 0
        """Frames decoded so far."""
        self._packets = Demuxer(file)
        self._far = self._packets.ticks(FAR_SECONDS)
        self._shown: Shown | None = None
        self._end: int | None = None  # known once the decoder came there
        self._delay = 0  # from a packet's decoding to its frame's display, where packets do not say
        self._first_undated: int | None = None
        self._restart()
        first = self._following(_BEFORE_ALL)
        if first is None:
            raise InputError(f"no frame of this video can be decoded: {self._packets.failure or 'it holds none'}")
        if self._first_undated is not None:
            self._delay = first.time - self._first_undated
        self._start = first.time
        self._shown = self._ready.popleft()
        self.matrix = _display_matrix(first.frame)
        """a, b, c and d of the display matrix, which turns and mirrors: (x, y) is shown at (a x + c y, b x + d y)."""

    def close(self) -> None:
        """Closes the file. Closing twice is no error."""
        self._packets.close()

    def display_size(self, frame: VideoFrame | None = None) -> tuple[int, int]:
        """Width and height with square pixels, of a frame or as the header says; before it is turned upright.

        Raises InputError where that, or what is stored, is more than `max_pixels`.
        """
        stored = frame or self._packets.codec
        shown = max(1, round(stored.width * (self._packets.stream.sample_aspect_ratio or Fraction(1))))
        if max(shown, stored.width) * stored.height > self.max_pixels:
            raise InputError(
                f"the video has {shown}×{stored.height} pixels, more than the {self.max_pixels:,} that are allowed"
            )
        return shown, stored.height

    def at(self, seconds: float | None) -> VideoFrame:
        """The frame on display `seconds` after the first one: the last that has come by then. None: the first.

        Raises InputError beyond the end.
        """
        limit = self._start + self._packets.ticks(seconds or 0)
        if self._end is None or limit <= self._end:
            self._go(limit)
        if self._end is not None and limit > self._end:
            ends = round(self._packets.seconds(self._end - self._start), 3)
            raise InputError(f"there is no frame at {seconds} s: the video ends at {ends} s")
        assert self._shown is not None
        return self._shown.frame

    def seconds(self) -> float:
        """How long the video is: from its first frame to the end of its last one.

        Found by reading the last packets, without decoding: what headers claim is often wrong, or missing. Afterwards
        the film stands at its end.
        """
        for _ in self._seeks(_AFTER_ALL):
            packets = iter(self._packets.read, None)
            if self._landed is None:
                # Packets before the key frame may belong to frames before the last one in the order of display.
                packets = dropwhile(lambda packet: not packet.is_keyframe, packets)
            ends = (self._time(packet) + (packet.duration or self._packets.frame_ticks()) for packet in packets)
            last = max(ends, default=None)
            if last is not None:
                return self._packets.seconds(max(last - self._start, 0))
        return 0.0

    # Going to a time.

    def _go(self, limit: int) -> None:
        """Makes the last frame up to `limit` the one that is shown."""
        if self._shown is None or limit < self._shown.time:
            self._seek_to(limit)
        elif limit > self._shown.time + self._far:
            before = self._shown.time
            self._seek_to(limit)
            if self._landed is not None and self._landed <= before:
                # No key frame was on the way: all since the last one is decoded again. Not a second time.
                self._far = max(self._far, 2 * (limit - self._landed))
        self._advance(limit)
        if self._skipped_to is not None:  # the key frame is damaged: what came before it is still on display
            self._seek_to(self._skipped_to - 1)
            self._advance(limit, skip=False)

    def _seek_to(self, limit: int) -> None:
        """Stands before a frame that is not after `limit`, or before the first one."""
        for _ in self._seeks(limit):
            first = self._following(limit)
            if first is not None and first.time <= limit:
                return

    def _seeks(self, time: int) -> Iterator[None]:
        """Seeks to the key frame before a time, then to earlier and earlier ones, at last to the beginning.

        Where the index is wrong or missing or the file is cut, seeking leads to nowhere, or too far.
        """
        claimed = self._packets.claimed_ticks()
        time = min(time, _AFTER_ALL if claimed is None else self._start + claimed)
        back = self._packets.ticks(1)
        while time > self._start:
            if self._packets.seek(time):
                self._stand(landed=None)
                yield
            if claimed is None:
                break
            time, back = time - back, 2 * back
        self._packets.restart()
        self._restart()
        yield

    def _restart(self) -> None:
        self.display_size()
        self._packets.codec.options = {"max_pixels": str(self.max_pixels)}  # a frame may be larger than the header says
        self._stand(landed=_BEFORE_ALL)

    def _stand(self, *, landed: int | None) -> None:
        self._queue: deque[Packet] = deque()
        self._ready: deque[Shown] = deque()
        self._shown = None
        self._landed = landed  # time of the key frame at which reading began; None: not found yet
        self._skipped_to: int | None = None  # the same, until a frame of it is shown
        self._latest = 0  # time of the last frame that was decoded
        self._fed = self._drained = False

    def _advance(self, limit: int, *, skip: bool = True) -> None:
        while (following := self._following(limit, skip=skip)) is not None:
            if following.time > limit and self._shown is not None:
                return
            self._shown = self._ready.popleft()
            self._skipped_to = None
        if self._shown is not None:
            self._end = self._shown.time + (self._shown.frame.duration or self._packets.frame_ticks())

    def _following(self, limit: int, *, skip: bool = True) -> Shown | None:
        """The frame after the one that is shown, on the way to `limit`; None at the end."""
        while not self._ready:
            if not self._queue:
                self._read_ahead(limit if skip else _BEFORE_ALL)
            if self._queue:
                self._decode(self._queue.popleft())
            elif self._drained:
                return None
            else:
                self._decode(None)
                self._drained = True
        return self._ready[0]

    def _decode(self, packet: Packet | None) -> None:
        """Decodes a packet, or with None what the decoder still holds."""
        self._fed = True
        try:
            frames = self._packets.codec.decode(packet)
        except FFmpegError as error:  # a damaged packet: go on with the next, as players do
            self._packets.failure = error
            return
        self.decoded += len(frames)
        for frame in frames:
            # Frames that lead a key frame and need what was not decoded are left out by the decoders themselves.
            self._latest = frame.pts if frame.pts is not None else self._latest + self._packets.frame_ticks()
            self._ready.append(Shown(self._latest, frame))

    def _read_ahead(self, limit: int) -> None:
        """Fills the queue up to `limit`, or with one packet; begins anew at each key frame on the way."""
        held = 0
        while held < QUEUE_BYTES:
            packet = self._packets.read()
            if packet is None:
                return
            time = self._time(packet)
            if packet.is_keyframe and (self._landed is None or time <= limit):
                self._skip_to(time)
                held = 0
            elif self._landed is None:
                continue  # after a seek nothing can be decoded before a key frame
            self._queue.append(packet)
            held += packet.size
            if time > limit:
                return

    def _skip_to(self, time: int) -> None:
        self._queue.clear()
        self._ready.clear()
        if self._fed:
            self._packets.codec.flush_buffers()
            self._fed = False
        self._landed = self._skipped_to = time

    def _time(self, packet: Packet) -> int:
        """When a packet's frame comes on display. AVI does not say it of frames that are stored in another order."""
        if packet.pts is not None:
            return packet.pts
        if packet.dts is None:
            return self._latest
        if self._first_undated is None:
            self._first_undated = packet.dts
        return packet.dts + self._delay


def _display_matrix(frame: VideoFrame) -> Matrix:
    # Once a film, and not for each of its frames: a frame whose side data was looked at holds itself, and its memory
    # is free only after Python's collector has run, hundreds of frames later.
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return (1, 0, 0, 1)
    a, b, _, c, d = (round(value / _ONE) for value in struct.unpack_from("=5i", matrix))
    return (a, b, c, d)
