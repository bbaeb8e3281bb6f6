"""Deflated DICOM data sets, inflated as far as they are read: a header's few kB, or all up to a frame."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, cast

from pydicom.filereader import read_dataset, read_preamble

from brightspark.core.errors import InputError
from brightspark.vision.stored import StoredFile

MAX_INFLATED_BYTES = 256 << 20  # of a deflated data set; a few kB could become terabytes
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_PLAIN = b"1.2.840.10008.1.2.1\0\0\0"  # the transfer syntax of what a deflated data set holds, of the same length
_META_BYTES = 2048  # the transfer syntax is among the file's first few hundred bytes
_STEP_BYTES = 64 << 10


def inflated(stored: StoredFile) -> StoredFile:
    """The file at its beginning; one with a deflated data set as the plain file that it stands for."""
    file = cast(BinaryIO, stored)
    start = file.read(_META_BYTES)
    file.seek(0)
    if _DEFLATED not in start:
        return stored
    read_preamble(file, force=True)
    read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag >> 16 != 2)
    meta_bytes = file.tell()
    file.seek(0)
    return StoredFile(_InflatedFile(stored, file.read(meta_bytes).replace(_DEFLATED, _PLAIN)))


class _InflatedFile:
    """A file whose data set is inflated on the way, and held: it is read once, but sought back and forth."""

    def __init__(self, file: StoredFile, meta: bytes) -> None:
        self._file = file
        self.held = bytearray(meta)
        self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        self._at = 0
        self._ended = False
        self.close = file.close

    def tell(self) -> int:
        """Bytes from the beginning, inflated ones."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As every file's; to find the end all is inflated."""
        if whence == io.SEEK_END:
            self._inflate(MAX_INFLATED_BYTES + 1)
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self.held)}[whence]
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """As every file's. Raises InputError for more than `MAX_INFLATED_BYTES`."""
        end = self._at + size if size >= 0 else MAX_INFLATED_BYTES + 1
        self._inflate(end)
        data = bytes(memoryview(self.held)[self._at : end])
        self._at += len(data)
        return data

    def _inflate(self, end: int) -> None:
        while len(self.held) < end and not self._ended:
            packed = self._unpacker.unconsumed_tail or self._file.read(_STEP_BYTES)
            try:
                data = self._unpacker.decompress(packed, _STEP_BYTES)
            except zlib.error as error:
                raise InputError(f"the DICOM file is damaged: {error}") from error
            self._ended = self._unpacker.eof or not (packed or data)
            self.held += data
            if len(self.held) > MAX_INFLATED_BYTES:
                raise InputError(
                    f"the deflated DICOM data set has more than the {MAX_INFLATED_BYTES:,} bytes that are allowed"
                )
