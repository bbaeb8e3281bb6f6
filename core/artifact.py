"""A model on disk: a folder that its own ecosystem opens without us, plus `brightspark.json` and a model card.

`brightspark.json` names the kind of model, its settings and labels, and the sha256 of each file. It is written last:
a folder without it is no artifact, and half an artifact is never seen. Weights are safetensors; nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from brightspark.core.errors import ArtifactError, InputError
from brightspark.core.storage import SCHEMES, Storage, file_system, split_scheme

MANIFEST = "brightspark.json"
CARD = "README.md"
FORMAT_VERSION = 1
MAX_ARTIFACT_BYTES = 64 << 30
MAX_MANIFEST_BYTES = 16 << 20

# What may stand in an artifact. None of these can run code when it is read.
SAFE_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".md", ".csv", ".parquet", ".model", ".spm", ".vocab"})


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model's folder and what is known of it. `address` is a local folder or a URI that fsspec reads."""

    address: str
    kind: str
    """Which model class reads it, such as `image-classifier`."""

    files: Mapping[str, str]
    """Each file's path in the folder, and its sha256."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained: settings, and what names the data."""
    limits: tuple[str, ...] = ()
    """What a user must know of where the numbers come from, and of what the model was not tried on."""

    @property
    def digest(self) -> str:
        """Names the content of the files: equal for equal weights, wherever they lie."""
        lines = "".join(f"{name} {digest}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def describe(folder: str | Path, *, kind: str, files: Sequence[str], labels: Sequence[str] = ()) -> Artifact:
    """An artifact over a foreign folder, such as a hub's snapshot, that has no `brightspark.json`.

    Raises ArtifactError for a file that is missing or could run code.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise ArtifactError(f"there is no folder {root}")
    return Artifact(
        address=str(root),
        kind=kind,
        files={name: _sha256(_checked(root, name)) for name in files},
        labels=tuple(labels),
    )


def is_artifact(path: str | Path) -> bool:
    """Whether a local folder or a URI holds an artifact."""
    manifest = _join(str(path), MANIFEST)
    return split_scheme(manifest)[0] in SCHEMES and _exists(manifest, Storage())


def open_artifact(path: str | Path, *, kind: str | None = None, storage: Storage | None = None) -> Artifact:
    """Reads an artifact's `brightspark.json`; in a local folder it checks every file's sha256 as well.

    The files of a URI are checked where they are fetched (`brightspark.core.cache`).
    Raises ArtifactError for a folder that is no artifact, was changed, is of another kind, or has a format version
    that this brightspark does not know.
    """
    address = str(path)
    raw = _read_manifest(address, storage or Storage())
    try:
        known = raw["format_version"]
        if known != FORMAT_VERSION:
            raise ArtifactError(
                f"{address} has format version {known!r}; this brightspark reads version {FORMAT_VERSION}: "
                "install the brightspark that wrote it, or write it again with this one"
            )
        artifact = Artifact(
            address=address,
            kind=raw["kind"],
            files={str(name): str(digest) for name, digest in raw["files"].items()},
            settings=dict(raw["settings"]),
            labels=tuple(raw["labels"]),
            columns=tuple(raw["columns"]),
            libraries=dict(raw["libraries"]),
            metrics=dict(raw["metrics"]),
            training=dict(raw.get("training", {})),
            limits=tuple(raw.get("limits", ())),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{address}/{MANIFEST} is damaged: {error!r}") from error
    if kind is not None and artifact.kind != kind:
        raise ArtifactError(f"{address} is a {artifact.kind!r}, not a {kind!r}: load it with its own model class")
    for name in artifact.files:
        check_name(name)
    if split_scheme(address)[0] == "file":
        artifact = replace(artifact, address=str(Path(split_scheme(address)[1]).resolve()))
        verify(Path(artifact.address), artifact.files)
    return artifact


def verify(folder: Path, files: Mapping[str, str]) -> None:
    """Raises ArtifactError for the first file that is missing, unsafe, elsewhere (a link) or has another sha256."""
    for name, digest in files.items():
        file = _checked(folder, name)
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ArtifactError(f"{name} in {folder} is a link that leads out of the artifact's folder")
        found = _sha256(file)
        if found != digest:
            raise ArtifactError(
                f"{name} in {folder} was changed: its sha256 is {found[:12]}…, {MANIFEST} says {digest[:12]}…; "
                "fetch or save the artifact again"
            )


@contextlib.contextmanager
def writing(
    path: str | Path,
    *,
    kind: str,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    columns: Sequence[str] = (),
    metrics: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
    packages: Sequence[str] = ("torch", "safetensors"),
    storage: Storage | None = None,
) -> Iterator[Path]:
    """Gives an empty local folder to write the model's files into; they appear at `path` when the block ends well.

    Raises InputError where something is at `path` already, StorageError where its scheme is not one that `storage`
    allows, ArtifactError where a file written could run code.

    >>> folder = Path(tempfile.mkdtemp()) / "model"
    >>> with writing(folder, kind="example", labels=["cat", "dog"]) as made:
    ...     _ = (made / "config.json").write_text("{}")
    >>> open_artifact(folder).labels
    ('cat', 'dog')
    """
    address = str(path)
    storage = storage or Storage()
    scheme, plain = storage.check(address)
    if not overwrite and _exists(address, storage):
        raise InputError(f"{address} exists already; name another folder, or ask for overwrite")
    beside = Path(plain).resolve().parent if scheme == "file" else None
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".brightspark-", dir=beside))
    try:
        yield made
        found = (file.relative_to(made).as_posix() for file in made.rglob("*") if file.is_file())
        names = sorted(name for name in found if name not in (CARD, MANIFEST))
        artifact = Artifact(
            address=address,
            kind=kind,
            files={name: _sha256(_checked(made, name)) for name in names},
            settings=settings or {},
            labels=tuple(labels),
            columns=tuple(columns),
            metrics=metrics or {},
            training=training or {},
            limits=tuple(limits),
            libraries=_versions(("brightspark", *packages)),
        )
        (made / CARD).write_text(card(artifact), encoding="utf-8")
        (made / MANIFEST).write_text(_manifest(artifact), encoding="utf-8")
        made.chmod(0o755)
        if scheme == "file":
            _move_into_place(made, Path(plain).resolve(), overwrite=overwrite)
        else:
            _upload(made, address, [*names, CARD, MANIFEST], storage)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def card(artifact: Artifact) -> str:
    """The model card: what the model is, how it was set, and how well it did."""
    lines = [
        f"# {artifact.kind}",
        "",
        "Written by brightspark. Settings, versions and hashes are in `brightspark.json`.",
    ]
    if artifact.labels:
        shown = ", ".join(artifact.labels[:20]) + (", …" if len(artifact.labels) > 20 else "")
        lines += ["", f"## Labels ({len(artifact.labels)})", "", shown]
    for title, table in (
        ("Settings", artifact.settings),
        ("Metrics", artifact.metrics),
        ("Training", artifact.training),
        ("Made with", artifact.libraries),
    ):
        if table:
            lines += ["", f"## {title}", "", "| name | value |", "| --- | --- |"]
            lines += [f"| {name} | {_cell(value)} |" for name, value in table.items()]
    if artifact.limits:
        lines += ["", "## Limits", "", *(f"- {limit}" for limit in artifact.limits)]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    """A value in one cell of a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def check_name(name: str) -> None:
    """Raises ArtifactError for a file name that leads out of the folder, or names a format that could run code."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0]:
        raise ArtifactError(f"{name!r} leads out of the artifact's folder")
    if PurePosixPath(name).suffix.lower() not in SAFE_SUFFIXES:
        raise ArtifactError(
            f"{name!r} is no format that is safe to read: an artifact holds {', '.join(sorted(SAFE_SUFFIXES))}; "
            "`brightspark convert` turns pickled checkpoints into safetensors"
        )


def _checked(folder: Path, name: str) -> Path:
    check_name(name)
    file = folder / name
    if not file.is_file():
        raise ArtifactError(f"{name} is missing in {folder}")
    if file.suffix == ".safetensors":
        _check_safetensors(file)
    return file


def _check_safetensors(file: Path) -> None:
    """A safetensors file starts with the length of its JSON header; a pickle or a zip of pickles does not."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(9)
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:] != b"{" or length > size - 8:
        raise ArtifactError(
            f"{file.name} in {file.parent} is not safetensors, whatever its name says; it is not opened. "
            "`brightspark convert` turns pickled checkpoints into safetensors"
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _manifest(artifact: Artifact) -> str:
    held = asdict(artifact)
    del held["address"]
    return json.dumps({"format_version": FORMAT_VERSION, **held}, indent=1, ensure_ascii=False) + "\n"


def _read_manifest(address: str, storage: Storage) -> dict[str, Any]:
    try:
        raw = json.loads(replace(storage, max_bytes=MAX_MANIFEST_BYTES).read(_join(address, MANIFEST)))
    except OSError as error:
        raise ArtifactError(f"{address} is no artifact: it has no {MANIFEST} that can be read ({error})") from error
    except ValueError as error:
        raise ArtifactError(f"{address}/{MANIFEST} is damaged: {error}") from error
    if not isinstance(raw, dict):
        raise ArtifactError(f"{address}/{MANIFEST} is damaged: it holds no JSON object")
    return raw


def _move_into_place(made: Path, path: Path, *, overwrite: bool) -> None:
    """Renames the new folder to its name; one that stood there is moved away first and deleted after."""
    if not overwrite:
        try:
            made.rename(path)  # onto an empty folder as well
        except OSError as error:
            raise InputError(f"{path} cannot be made ({error.strerror}): did another process write it?") from error
        return
    old = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    replaced = path.exists()
    if replaced:
        path.rename(old)
    try:
        made.rename(path)
    except OSError:
        if replaced:
            old.rename(path)
        raise
    if old.is_file():
        old.unlink()
    shutil.rmtree(old, ignore_errors=True)


def _upload(made: Path, address: str, names: Sequence[str], storage: Storage) -> None:
    """Writes to a file system that cannot rename: the manifest comes last, and without it there is no artifact."""
    system = file_system(address, storage.options)
    if system.exists(_join(address, MANIFEST)):
        system.rm(_join(address, MANIFEST))
    for name in names:
        target = _join(address, name)
        system.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        system.put_file(str(made / name), target)


def _exists(address: str, storage: Storage) -> bool:
    """Whether there is something at an address; an empty folder is nothing."""
    scheme, plain = split_scheme(address)
    if scheme != "file":
        return bool(file_system(address, storage.options).exists(address))
    path = Path(plain)
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _join(address: str, name: str) -> str:
    return f"{address.rstrip('/')}/{name}"


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
