"""What is staged at a path: the shards, their rows and bytes. Knows no Spark and no torch."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brightspark.core.errors import InputError
from brightspark.core.storage import Storage, absolute, file_system, split_scheme

NAME = "manifest.json"
FORMAT_VERSION = 1
MAX_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A Parquet file."""

    name: str
    """Its path below the manifest's folder."""
    rows: int
    bytes: int
    """On storage, compressed."""
    raw_bytes: int
    """Uncompressed."""
    row_groups: tuple[int, ...]
    """The rows of each, in order."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Shard:
        """The same from JSON."""
        return cls(**{**raw, "row_groups": tuple(raw["row_groups"])})


def describe_shard(file: str) -> Shard:
    """A Parquet file by its footer; its name is that of its folder and its own."""
    import pyarrow.parquet as pq

    with Storage().open(file, whole=False) as opened:
        footer = pq.read_metadata(opened)
        size = opened.seek(0, 2)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    folder, name = file.rsplit("/", 2)[1:]
    return Shard(
        name=f"{folder}/{name}",
        rows=footer.num_rows,
        bytes=size,
        raw_bytes=sum(group.total_byte_size for group in groups),
        row_groups=tuple(group.num_rows for group in groups),
    )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `stage` wrote at `path`. It is written last, so that half a staging is never seen."""

    path: str
    rows: int
    failed: int = 0
    """Rows that were left out, since they could not be read."""
    row_hash: str
    """Equal for the same rows in whatever order: two sums over all rows' 64-bit hashes, in hexadecimal."""
    columns: Mapping[str, str]
    """Each column's name and type, in Spark's words."""
    shards: tuple[Shard, ...]

    @classmethod
    def of(cls, path: str, raw: Mapping[str, Any]) -> Manifest:
        """The same from JSON; raises KeyError or TypeError for another's."""
        content = {name: value for name, value in raw.items() if name != "format_version"}
        shards = tuple(Shard.of(shard) for shard in content.pop("shards"))
        return cls(path=path, shards=shards, **content)

    @property
    def bytes(self) -> int:
        """On storage, compressed."""
        return sum(shard.bytes for shard in self.shards)

    @property
    def digest(self) -> str:
        """Names this staging: another staging of the same rows has another."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """All but the path, so that a folder that was moved is still what it was."""
        content = {name: value for name, value in asdict(self).items() if name != "path"}
        return json.dumps({"format_version": FORMAT_VERSION, **content}, sort_keys=True)


def read_manifest(path: str) -> Manifest | None:
    """The manifest of what is staged at `path`; None where nothing is, or a staging has not ended.

    Raises InputError where it is damaged, or of a format version that this brightspark does not know.
    """
    path = absolute(path)
    where = f"{path.rstrip('/')}/{NAME}"
    try:
        raw = json.loads(Storage(max_bytes=MAX_BYTES).read(where))
    except OSError:
        if _exists(where):
            raise
        return None
    except ValueError as error:
        raise InputError(f"{where} is damaged ({error}); stage the rows again") from error
    known = raw.pop("format_version", None) if isinstance(raw, dict) else None
    if known != FORMAT_VERSION:
        raise InputError(f"{where} has format version {known!r}, this brightspark reads {FORMAT_VERSION}: stage again")
    return _manifest(path, where, raw)


def write_manifest(manifest: Manifest) -> None:
    """Puts the manifest into its folder in one step: a reader sees the old one or this one."""
    where = f"{manifest.path.rstrip('/')}/{NAME}"
    scheme, plain = split_scheme(where)
    if scheme != "file":
        file_system(where).pipe_file(where, manifest.to_json().encode())
        return
    target = Path(plain)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{NAME}-{uuid.uuid4().hex}")
    beside.write_text(manifest.to_json(), encoding="utf-8")
    beside.replace(target)


def _manifest(path: str, where: str, raw: dict[str, Any]) -> Manifest:
    try:
        return Manifest.of(path, raw)
    except (KeyError, TypeError) as error:
        raise InputError(f"{where} is damaged ({error!r}); stage the rows again") from error


def _exists(where: str) -> bool:
    scheme, plain = split_scheme(where)
    return bool(file_system(where).exists(plain if scheme == "file" else where))
