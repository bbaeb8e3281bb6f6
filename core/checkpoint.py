"""Finds checkpoints of transformers by name: an artifact, a local folder, a repository of the hub."""

from __future__ import annotations

from pathlib import Path

from brightspark.core import pretrained
from brightspark.core.artifact import Artifact, describe

# What transformers reads of a checkpoint: its configuration, safetensors, and the files of its tokenizer and features.
PATTERNS = (
    "config.json", "generation_config.json", "preprocessor_config.json",
    "model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "normalizer.json",
    "vocab.json", "target_vocab.json", "vocab.txt", "merges.txt", "*.spm", "*.model",
)  # fmt: skip


def find_checkpoint(name: str, *, kind: str | None = None) -> Artifact | Path:
    """The artifact, or the local folder as transformers has it, that a name stands for; a hub is asked here, once.

    `name` is a repository of the Hugging Face hub, a local folder with config.json and safetensors, or an artifact's
    folder or URI. Raises InputError for a name that nobody knows, ArtifactError for an artifact of another `kind`.
    """
    return pretrained.find_weights(name, patterns=PATTERNS, kind=kind)


def find_start(name: str, *, kind: str, solution: str) -> Artifact:
    """The artifact that a training starts with; a folder as transformers has it becomes one of `kind`.

    An artifact may be of another kind: a classifier starts with an embedder too. Raises InputError for a name that
    nobody knows, ArtifactError where weights are missing.
    """
    found = find_checkpoint(name)
    return found if isinstance(found, Artifact) else describe_checkpoint(found, kind=kind, solution=solution)


def describe_checkpoint(folder: Path, *, kind: str, solution: str | None = None) -> Artifact:
    """An artifact over a folder as transformers has it; `solution` is whose command converts pickled weights, if any.

    Raises ArtifactError where config.json or the weights are missing; pickled weights are not opened.
    """
    if not any(folder.glob("model*.safetensors")):
        raise pretrained.without_weights(folder, hint=solution and f"--solution {solution} --model FOLDER")
    found = {file.name for pattern in PATTERNS for file in folder.glob(pattern) if file.is_file()}
    return describe(folder, kind=kind, files=sorted({"config.json", *found}))
