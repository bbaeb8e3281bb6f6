"""Finds ready-made weights by name: an artifact, a local folder, a repository of the Hugging Face hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from brightspark.core.artifact import Artifact, is_artifact, open_artifact
from brightspark.core.errors import ArtifactError, InputError

PICKLED = (".bin", ".pth", ".pt", ".ckpt")


def find_weights(
    name: str,
    *,
    patterns: Sequence[str],
    kind: str | None = None,
    repository: Callable[[str], str] = str,
) -> Artifact | Path:
    """The artifact, or the local folder, that a name stands for; a hub is asked here, once, and no worker asks it.

    `patterns` are the files that a hub's repository is asked for; `repository` gives the hub's name for one that is
    no folder here. Raises InputError for a name that nobody knows, ArtifactError for an artifact of another `kind`.
    """
    address = os.path.expanduser(name.removeprefix("local-dir:").removeprefix("file://"))  # noqa: PTH111 - may be a URI
    if "://" in address or is_artifact(address):
        return open_artifact(address, kind=kind)
    folder = Path(address)
    return folder if folder.is_dir() else _from_hub(name, repository(name), patterns)


def without_weights(folder: Path, *, hint: str | None) -> ArtifactError:
    """What to raise for a folder that has no safetensors; `hint` is the rest of the `convert` command, if one helps."""
    pickled = sorted(file.name for file in folder.glob("*") if file.suffix in PICKLED)
    found = f"only pickled weights ({pickled[0]}), which are not opened" if pickled else "no model.safetensors"
    if hint is None:
        return ArtifactError(f"{folder} has {found}; transformers' own save_pretrained(FOLDER) writes safetensors")
    checkpoint = pickled[0] if pickled else "CHECKPOINT"
    return ArtifactError(
        f"{folder} has {found}; `brightspark convert {checkpoint} {hint} --out FOLDER` makes a folder that works"
    )


def _from_hub(name: str, repository: str, patterns: Sequence[str]) -> Path:
    """The local snapshot of a hub's repository, from the hub's own cache where it is there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=list(patterns)))
    except HFValidationError as error:
        raise InputError(f"{name!r} is no folder here, and no name that a hub can have: {error}") from error
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{name!r} is no folder here, and {repository!r} is not in the hub's cache while the hub cannot be reached"
        ) from error
    except HfHubHTTPError as error:
        raise InputError(f"{name!r} is no folder here, and the hub refuses {repository!r}: {error}") from error
