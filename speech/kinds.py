"""What a file of sound may begin with. Knows neither torch nor Spark."""

from __future__ import annotations

from brightspark.core.errors import InputError

SUFFIXES = (
    ".wav",
    ".wave",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aif",
    ".aiff",
    ".aifc",
    ".au",
    ".snd",
    ".caf",
    ".w64",
    ".rf64",
    ".sph",
    ".nist",
)
"""What can be read. A file's first bytes tell what it is, whatever its name says."""

FOREIGN_SUFFIXES = (".m4a", ".m4b", ".aac", ".wma", ".amr", ".ape", ".wv", ".mka", ".weba")
"""Recordings, too, which keep their rows, and whose error says what to do."""

FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "NIST"})
"""libsndfile's names of what is read. It knows others, from the times of the Amiga, which nobody tests any more."""

_STARTS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff", b"NIST")
_FOREIGN = (
    (4, b"ftyp", "MP4 (M4A, AAC)"),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (0, b"\x30\x26\xb2\x75", "WMA"),
    (0, b"#!AMR", "AMR"),
    (0, b"ADIF", "AAC"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
)
_CONVERT = "convert it to FLAC, for example by `ffmpeg -i IN OUT.flac`"


def check_start(start: bytes) -> None:
    """Raises InputError for a file that does not begin like sound of a kind that can be read.

    >>> check_start(b"fLaC")
    >>> check_start(b"Dear diary")
    Traceback (most recent call last):
    brightspark.core.errors.InputError: this is no sound that can be read: it starts with b'Dear diary'
    """
    if not start:
        raise InputError("this is no sound: the file has 0 bytes")
    for at, mark, name in _FOREIGN:
        if start[at:].startswith(mark):
            raise InputError(f"this is {name}, which is not read here: {_CONVERT}")
    if start[0] == 0xFF and len(start) > 1 and start[1] & 0xE0 == 0xE0:  # a frame of MPEG, without any header
        if start[1] & 0x06 == 0:
            raise InputError(f"this is AAC, which is not read here: {_CONVERT}")
    elif not start.startswith(_STARTS):
        raise InputError(f"this is no sound that can be read: it starts with {start!r}")
