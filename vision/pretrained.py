"""Finds timm's weights by name: an artifact, a folder in timm's layout, a repository of the hub."""

from __future__ import annotations

from pathlib import Path

from brightspark.core import pretrained
from brightspark.core.artifact import Artifact, describe
from brightspark.core.errors import InputError, did_you_mean

FILES = ("config.json", "model.safetensors")


def find_weights(name: str, *, kind: str | None = None) -> Artifact | Path:
    """The artifact, or the local folder in timm's layout, that a name stands for; a hub is asked here, once.

    `name` is a name of timm (`resnet18.a1_in1k`), a repository of the Hugging Face hub (`timm/resnet18.a1_in1k`),
    a local folder in timm's layout (config.json, model.safetensors), or an artifact's folder or URI.
    Raises InputError for a name that nobody knows, ArtifactError for an artifact of another `kind`.
    """
    return pretrained.find_weights(name, patterns=FILES, kind=kind, repository=_repository)


def describe_weights(folder: Path, *, kind: str) -> Artifact:
    """An artifact over a folder in timm's `local-dir:` layout.

    Raises ArtifactError where a file is missing; pickled weights are not opened.
    """
    if not (folder / "model.safetensors").exists():
        raise pretrained.without_weights(folder, hint="--model NAME")
    return describe(folder, kind=kind, files=FILES)


def _repository(name: str) -> str:
    """The hub's repository that a name of timm stands for."""
    import timm

    plain = name.removeprefix("hf-hub:").removeprefix("hf_hub:")
    if "/" in plain:
        return plain
    try:
        config = timm.models.get_pretrained_cfg(plain, allow_unregistered=True)
    except RuntimeError:  # the architecture has no weights of that tag
        config = None
    if config is None or not config.hf_hub_id:
        raise InputError(f"{name!r} is no folder here, and timm has no weights of that name on the hub; {_near(plain)}")
    hub_id = str(config.hf_hub_id)
    return f"{hub_id}{config.architecture}.{config.tag}" if hub_id.endswith("/") else hub_id


def _near(name: str) -> str:
    """The nearest names of weights; the nearest architectures to a name that has no tag."""
    import timm

    weights = [known for known in timm.list_models(pretrained=True) if timm.models.get_pretrained_cfg(known).hf_hub_id]
    known = weights if "." in name else sorted({name.partition(".")[0] for name in weights})
    hint = did_you_mean(name, known)
    return hint if hint.startswith("did") else "timm.list_models(pretrained=True) lists them"
