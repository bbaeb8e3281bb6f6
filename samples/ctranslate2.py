"""Reading the weights of CTranslate2, whose `model.bin` is a list of named arrays."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from brightspark.core.errors import ArtifactError

if TYPE_CHECKING:
    import numpy as np

_VERSION = 6  # of the format: `CURRENT_BINARY_VERSION` in CTranslate2's python/ctranslate2/specs/model_spec.py
_TYPES = ("float32", "int8", "int16", "int32", "float16")  # by their number in the file; the next one is bfloat16


def read(content: bytes, specification: str) -> dict[str, np.ndarray]:
    """The arrays of a `model.bin` by their names; an alias names the same array again.

    The file holds the format's version, the specification's name and revision, then every array (name, rank, lengths,
    type, bytes), then the aliases (alias, name): `ModelSpec._serialize` of CTranslate2, all of it little-endian.

    Raises:
        ArtifactError: it is no such file, or one of another version, of another specification, or cut short.
    """
    import numpy as np

    file = _File(content)
    version = file.number("I")
    found = file.text() if version == _VERSION else "unknown"
    if found != specification:
        raise ArtifactError(
            f"This is no {specification} in CTranslate2's format {_VERSION}: it says format {version}, "
            f"specification {found}."
        )
    file.number("I")  # the specification's revision: what it changed shows in the names
    arrays: dict[str, np.ndarray] = {}
    for _ in range(file.number("I")):
        name = file.text()
        shape = [file.number("I") for _ in range(file.number("B"))]
        kind = file.number("B")
        if kind >= len(_TYPES):
            raise ArtifactError(f"{name} has numbers of CTranslate2's type {kind}, and only {_TYPES} are read.")
        values = np.frombuffer(file.bytes(file.number("I")), np.dtype(_TYPES[kind]).newbyteorder("<"))
        if values.size != np.prod(shape):
            raise ArtifactError(f"{name} has {values.size} numbers and says that its shape is {shape}.")
        arrays[name] = values.reshape(shape)
    for _ in range(file.number("I")):
        alias, name = file.text(), file.text()
        arrays[alias] = arrays[name]
    return arrays


class _File:
    """Takes one value after another from the bytes of a file."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    def number(self, form: str) -> int:
        """The next unsigned number, in `struct`'s letters."""
        form = f"<{form}"
        number: int = struct.unpack(form, self.bytes(struct.calcsize(form)))[0]
        return number

    def text(self) -> str:
        """The next text: its length, then its bytes, the last of which is a zero."""
        return str(self.bytes(self.number("H")), "utf-8").removesuffix("\0")

    def bytes(self, length: int) -> memoryview:
        """The next `length` bytes."""
        if length > len(self._content):
            raise ArtifactError(f"CTranslate2's file is cut short: {length - len(self._content)} bytes are missing.")
        taken, self._content = self._content[:length], self._content[length:]
        return taken
