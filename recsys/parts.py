"""The collaborative parts by name: how each is set, learned, and opened again. Knows neither Spark nor torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brightspark.core.errors import ArtifactError, InputError, did_you_mean
from brightspark.recsys import cease, content, ease, factors, neighbours, popularity
from brightspark.recsys.part import Part

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Kind:
    """How a part is learned."""

    part: type[Part]
    settings: type[Any]
    """A frozen dataclass, each field of which has a default."""
    fit: Callable[..., Part]
    """Takes the matrix of users × items and the settings, and where it `reads_features` those of the items as well."""
    memory_bytes: Callable[[int, int, int, Any], int]
    """What `fit` needs beside the matrix, of users, items, interactions and the settings; it refuses by itself."""
    reads_features: bool = False


KINDS = {
    kind.part.name: kind
    for kind in (
        Kind(popularity.Popularity, popularity.PopularitySettings, popularity.fit, popularity.memory_bytes),
        Kind(factors.Als, factors.AlsSettings, factors.fit_als, factors.memory_bytes),
        Kind(factors.Bpr, factors.BprSettings, factors.fit_bpr, factors.memory_bytes),
        Kind(neighbours.Neighbours, neighbours.NeighbourSettings, neighbours.fit, neighbours.memory_bytes),
        Kind(ease.Ease, ease.EaseSettings, ease.fit, ease.memory_bytes),
        Kind(cease.Cease, cease.CeaseSettings, cease.fit, cease.memory_bytes, reads_features=True),
        Kind(content.Content, content.ContentSettings, content.fit, content.memory_bytes, reads_features=True),
    )
}


def kind(name: str) -> Kind:
    """The kind of that name.

    >>> kind("ease").settings().l2
    500.0

    Raises InputError where there is none.
    """
    if name not in KINDS:
        raise InputError(f"there is no part {name!r}; {did_you_mean(name, KINDS)}")
    return KINDS[name]


def save(part: Part, folder: Path) -> Path:
    """Writes what a part has learned to a file of its name; the file."""
    from safetensors.numpy import save_file

    file = folder / f"{part.name}{SUFFIX}"
    save_file(part.tensors(), file)
    return file


def load(file: Path) -> Part:
    """The part in a file that `save` wrote; its kind is the file's name.

    Raises ArtifactError where it is no such file, or lacks what the part is made of.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return KINDS[file.stem].part.from_tensors(load_file(file))
    except KeyError as error:
        raise ArtifactError(f"{file} holds no part of a recommender: {error} is unknown or missing") from error
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}") from error
