"""The packets of a video file: opened with care, read one by one, sought. Knows PyAV, no torch and no Spark."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO, TypeAlias

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from brightspark.core.errors import InputError
from brightspark.vision.images import MAX_PIXELS

Packet: TypeAlias = "av.Packet[Any]"

# Nothing else is tried: FFmpeg also knows lists of other files (concat, HLS, DASH), and would open what they name.
FORMATS = ("asf", "avi", "flv", "matroska", "mov", "mpeg", "mpegts")

BUFFER_BYTES = 256 << 10  # read at once from the file
ROUNDING = Fraction(1, 1_000_000)  # seconds; 3 × 0.1 is a little more than 0.3, and 3 × 0.7 a little less than 2.1


class Demuxer:
    """A video file's first video stream, packet by packet. Times are in ticks of the stream."""

    def __init__(self, file: BinaryIO) -> None:
        """Reads the header.

        Raises InputError where it is no video, or has no stream of moving pictures that can be decoded.
        """
        self._file = file
        self.failure: FFmpegError | None = None
        """What went wrong last."""
        self._open()

    def restart(self) -> None:
        """Opens the file anew, from its beginning."""
        self._container.close()
        self._open()

    def _open(self) -> None:
        self._container = _open_container(self._file)
        self.stream = _video_stream(self._container)
        self.codec = self.stream.codec_context
        self.codec.thread_count = 1  # cores are Spark's to give
        assert self.stream.time_base is not None
        self._time_base = self.stream.time_base
        self._packets: Iterator[Packet] = self._container.demux(self.stream)

    def close(self) -> None:
        """Closes the file. Closing twice is no error."""
        self._container.close()
        self._file.close()

    def read(self) -> Packet | None:
        """The next packet that holds a whole frame; None at the end of the file, or where it is cut."""
        while True:
            try:
                return next((packet for packet in self._packets if packet.size and not packet.is_corrupt), None)
            except FFmpegError as error:
                self.failure = error
                return None
            except IndexError:  # PyAV stumbles over a stream that begins in mid-file; it is not the one that is read
                self._packets = self._container.demux(self.stream)

    def seek(self, time: int) -> bool:
        """Goes to a key frame before `time`, as far as the index is right; whether that was possible at all."""
        try:
            self._container.seek(time, stream=self.stream)
        except FFmpegError as error:
            self.failure = error
            return False
        self._packets = self._container.demux(self.stream)
        return True

    def claimed_ticks(self) -> int | None:
        """How long the header says that the video is."""
        if self.stream.duration is not None:
            return self.stream.duration
        duration = self._container.duration  # of the longest stream
        return None if duration is None else self.ticks(Fraction(duration, av.time_base))

    def frame_ticks(self) -> int:
        """Ticks from one frame to the next on average, as far as the header knows; else 0."""
        rate = self.stream.average_rate
        return round(1 / (rate * self._time_base)) if rate else 0

    def ticks(self, seconds: float | Fraction) -> int:
        """The last tick that has come after so many seconds."""
        return math.floor((Fraction(seconds) + ROUNDING) / self._time_base)

    def seconds(self, ticks: int) -> float:
        """So many ticks in seconds."""
        return float(ticks * self._time_base)


class _Source:
    """A file as FFmpeg reads it. Where a damaged index leads out of it is an error code, and no exception."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.tell, self._seek = file.read, file.tell, file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._seek(offset, whence)
        except ValueError:
            return -errno.EINVAL
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return -errno.EINVAL


def _open_container(file: BinaryIO) -> InputContainer:
    file.seek(0)
    start = file.read(16)
    if not start:
        raise InputError("this is no video that can be read: it has 0 bytes")
    file.seek(0)
    try:
        return av.open(
            _Source(file),
            "r",
            container_options={"format_whitelist": ",".join(FORMATS)},
            options={"max_pixels": str(2 * MAX_PIXELS)},  # for what FFmpeg decodes to find out what is in it
            buffer_size=BUFFER_BYTES,
            metadata_errors="replace",
        )
    except FFmpegError as error:
        what = f"it starts with {start!r}: {error.strerror}"
        if start[4:8] == b"ftyp":
            what = "its index (moov) is missing; the file was cut, or its recording was never ended"
        raise InputError(f"this is no video that can be read: {what}") from None


def _video_stream(container: InputContainer) -> VideoStream:
    """The first stream of moving pictures; the cover of a recording is none."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if stream.codec_context is None:
            raise InputError("there is no decoder for the video in it")
        return stream
    kinds = sorted({stream.type for stream in container.streams})
    raise InputError(f"there is no video in it, only {' and '.join(kinds) or 'a header'}")
