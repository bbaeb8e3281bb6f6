"""A file of sound as it is stored: what it says of itself, and its samples. Knows no torch and no Spark.

libsndfile decodes, through soundfile; what it would lose silently is made good here, and in `riff` and `mpeg`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from brightspark.core.errors import InputError
from brightspark.core.predictor import Opener
from brightspark.speech import mpeg, riff
from brightspark.speech.kinds import FORMATS, check_start
from brightspark.speech.source import Source

CUT_SECONDS = 0.25  # that may be missing: encoders round, and a word is longer
PRE_ROLL_SECONDS = 1.0  # decoded before what is sought: lossy formats are wrong for up to 0.5 s after a seek
SKIP_SAMPLES = 1 << 19  # of all channels, at a time, on the way to what is sought
OGG_READ_BYTES = 4 << 10  # at a time; if more is left, libsndfile has passed over it

_NO_LENGTH = 1 << 62  # frames: what libsndfile says where it does not know is more
_SOUGHT_WRONG = ("VORBIS",)  # by up to a window, for good (libsndfile's issue 885): it is decoded up to the place
_NOT_OPENED = 7  # libsndfile's code for what its MP3 decoder does not take, with words on files that are not there
_SEVERAL = (
    "it is several Ogg streams one behind the other, of which only the first would be read; make one of them, for "
    "example by `ffmpeg -i IN OUT.flac`"
)
_TAKE_IT = "set allow_cut=True to take those"


@contextmanager
def open_sound(source: str | bytes | None, open: Opener, *, allow_cut: bool = False) -> Iterator[Sound]:
    """The sound at a path, read by range, or in bytes, for the length of a `with` block.

    Raises as Sound does, InputError where there is none at all, StorageError for what cannot be opened.
    """
    if source is None:
        raise InputError("there is no recording: the value is null")
    path = source if isinstance(source, str) else ""
    with (
        open(path, whole=False) if isinstance(source, str) else io.BytesIO(source) as file,
        closing(Sound(file, name=path, allow_cut=allow_cut)) as sound,
    ):
        yield sound


class _Decoder(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile's, which seeks after each block that it reads: that damages what follows of an MP3."""

    def seekable(self) -> bool:
        return False

    def can_seek(self) -> bool:
        return bool(super().seekable())


class Sound:
    """An open file of sound that stands at a frame: a sample of each channel. Not for several threads at once."""

    def __init__(self, file: BinaryIO, *, name: str = "", allow_cut: bool = False) -> None:
        """Reads the header; that of an MP3 without a length, as far as its end. `name` is for errors.

        Raises InputError for what is no sound that can be read, has no samples, or (unless `allow_cut`) ends before its
        header says; StorageError where the storage fails.
        """
        self.name, self._allow_cut = name, allow_cut
        plain = Source(file)
        try:
            check_start(plain.read(16))
        except InputError as error:
            raise self.error(str(error)) from None
        self._claim = riff.find_samples(plain)
        has_length = mpeg.has_length(plain)
        self._source = self._mended(file, plain)
        self._decoder = self._open()
        self.rate: int = self._decoder.samplerate
        """Frames a second."""
        self.channels: int = self._decoder.channels
        self.format = "WAV" if self._decoder.format == "WAVEX" else str(self._decoder.format)
        """WAV, FLAC, OGG, MP3…"""
        self.encoding = str(self._decoder.subtype)
        """PCM_16, ULAW, VORBIS, OPUS…"""
        stated = self._decoder.frames
        self.frames: int | None = stated if stated < _NO_LENGTH else None
        """How many there are, as far as the header knows."""
        self._is_stated = self.format != "MP3" or has_length
        self._check_header(plain.size)

    def close(self) -> None:
        """Ends decoding; the file is its owner's."""
        self._decoder.close()

    def error(self, text: str) -> InputError:
        """An error that names the file."""
        return InputError(f"{text} ({self.name})" if self.name else text)

    @property
    def seconds(self) -> float | None:
        """How long it is, as far as the header knows."""
        return None if self.frames is None else self.frames / self.rate

    def go(self, frame: int) -> None:
        """Makes a frame the next one that is read, or the end, if there is no such frame."""
        ahead = round(PRE_ROLL_SECONDS * self.rate)
        if not self._at <= frame <= self._at + ahead:
            if self._decoder.can_seek() and self.frames is not None and self.encoding not in _SOUGHT_WRONG:
                self._seek(min(max(0, frame - ahead), self.frames))
            elif frame < self._at:
                self._decoder.close()
                self._decoder = self._open()
        at_once = max(1, SKIP_SAMPLES // self.channels)
        while self._at < frame and len(self.read(min(frame - self._at, at_once))):
            pass

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next frames, frames × channels; fewer at the end only.

        Raises InputError where the file is damaged, or ends before its header says; with `allow_cut` that is the end.
        """
        block = np.full((frames, self.channels), np.nan, np.float32)
        failure = None
        try:
            block = self._decoder.read(frames, out=block)
        except soundfile.LibsndfileError as error:
            # It does not say how many frames it had decoded by then. Only FLAC comes here, which holds whole numbers.
            missing = np.isnan(block[:, 0])
            block = block[: missing.argmax()] if missing.any() else block
            failure = error
        self._source.check()
        self._at += len(block)
        if failure is not None and not self._allow_cut:
            of = "" if self.seconds is None else f" of {self.seconds:.2f} s"
            where = f"after {self._at / self.rate:.2f} s{of}"
            raise self.error(f"it is damaged or cut {where} ({failure.error_string}); {_TAKE_IT}")
        if len(block) < frames:
            self._check_end()
        return block

    def _mended(self, file: BinaryIO, plain: Source) -> Source:
        """The file as libsndfile is to see it."""
        if self._claim is not None:
            head = riff.closed(plain, self._claim)
            return plain if head is None else Source(file, head=head, skip=len(head))
        if mpeg.is_mpeg(plain) and not mpeg.has_length(plain):
            counted = mpeg.counted(plain)
            return Source(file, head=counted.head, skip=counted.skip)
        return plain

    def _open(self) -> _Decoder:
        self._source.seek(0)
        self._at = 0
        try:
            decoder = _Decoder(self._source)
        except soundfile.LibsndfileError as error:
            self._source.check()
            why = "no frame of MP3 is in it" if error.code == _NOT_OPENED else error.error_string
            raise self.error(f"its header is damaged or cut ({why})") from None
        self._source.check()
        if decoder.format not in FORMATS:
            decoder.close()
            raise self.error(f"this is {decoder.format}, which is not read here: convert it to WAV or FLAC")
        return decoder

    def _seek(self, frame: int) -> None:
        try:
            self._at = self._decoder.seek(frame)
        except soundfile.LibsndfileError as error:
            self._source.check()
            where = f"{frame / self.rate:.2f} s"
            raise self.error(f"it is damaged: {where} cannot be found ({error.error_string})") from None
        self._source.check()

    def _check_header(self, size: int) -> None:
        if self.format == "OGG" and self.frames is None:
            raise self.error(_SEVERAL)
        if self.frames == 0:
            raise self.error("it has no samples")
        if self.seconds is not None and self._claim is not None and self._claim.bytes is not None:
            held = max(1, size - self._claim.at)
            self._check_cut(self.seconds * self._claim.bytes / held, self.seconds)

    def _check_end(self) -> None:
        if self._at == 0:
            raise self.error("it has no samples")
        if self.format == "OGG" and self._source.size - self._source.tell() > OGG_READ_BYTES:
            raise self.error(_SEVERAL)
        # Formats that state nothing, and MP3s whose frames were counted, end where they end.
        if self.seconds is not None and self._is_stated:
            self._check_cut(self.seconds, self._at / self.rate)

    def _check_cut(self, stated: float, held: float) -> None:
        if not self._allow_cut and stated - held > CUT_SECONDS:
            raise self.error(f"it is cut: its header says {stated:.2f} s, and {held:.2f} s are there; {_TAKE_IT}")
