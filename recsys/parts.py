"""The collaborative parts by name: how each is set, learned, and opened again. Knows neither Spark nor torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.sparse import csr_matrix

from brightspark.core.errors import ArtifactError, InputError, did_you_mean
from brightspark.recsys import (
    cease,
    content,
    covisits,
    ease,
    factors,
    neighbours,
    popularity,
    sasrec,
    sasrec_fit,
    towers,
    towers_fit,
)
from brightspark.recsys.part import Part
from brightspark.recsys.sasrec_settings import SasrecSettings
from brightspark.recsys.towers_settings import TowersSettings

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Kind:
    """How a part is learned."""

    part: type[Part]
    settings: type[Any]
    """A frozen dataclass, each field of which has a default."""
    fit: Callable[..., Part]
    """Takes the matrix of users × items, the settings, and what it `reads` besides."""
    memory_bytes: Callable[[int, int, int, Any], int]
    """What `fit` needs beside the matrix, of users, items, interactions and the settings; it refuses by itself."""
    reads: str | None = None
    """`features` of the items (items × features), or `places` of the interactions in their users' time (a matrix)."""
    needs: bool = True
    """Whether it cannot do without."""
    unasked: bool = True
    """Whether it is learned where nobody names it."""


KINDS = {
    kind.part.name: kind
    for kind in (
        Kind(popularity.Popularity, popularity.PopularitySettings, popularity.fit, popularity.memory_bytes),
        Kind(factors.Als, factors.AlsSettings, factors.fit_als, factors.memory_bytes),
        Kind(factors.SparkAls, factors.SparkAlsSettings, factors.fit_spark_als, factors.spark_als_bytes, unasked=False),
        Kind(factors.Bpr, factors.BprSettings, factors.fit_bpr, factors.memory_bytes),
        Kind(neighbours.Neighbours, neighbours.NeighbourSettings, neighbours.fit, neighbours.memory_bytes),
        Kind(ease.Ease, ease.EaseSettings, ease.fit, ease.memory_bytes),
        Kind(cease.Cease, cease.CeaseSettings, cease.fit, cease.memory_bytes, "features"),
        Kind(content.Content, content.ContentSettings, content.fit, content.memory_bytes, "features"),
        Kind(towers.Towers, TowersSettings, towers_fit.fit, towers_fit.memory_bytes, "features", needs=False),
        Kind(covisits.Covisits, covisits.CovisitSettings, covisits.fit, covisits.memory_bytes, "places"),
        Kind(sasrec.Sasrec, SasrecSettings, sasrec_fit.fit, sasrec_fit.memory_bytes, "places", unasked=False),
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


def learn(name: str, matrix: csr_matrix, settings: Any, **known: Any) -> Part:
    """A part of users × items, with what is `known` besides: `features` and `places`, as a Kind may read them.

    Raises InputError where there is no such part, where it needs what is not known, and what its `fit` does.
    """
    of = kind(name)
    if of.reads is None:
        return of.fit(matrix, settings)
    told = known.get(of.reads)
    if told is None and of.needs:
        raise InputError(f"{name} learns from the {of.reads}, and there are none")
    return of.fit(matrix, settings, told)


def save(part: Part, folder: Path) -> Path:
    """Writes what a part has learned to a file of its name; the file."""
    from safetensors.numpy import save_file

    file = folder / f"{part.name}{SUFFIX}"
    save_file(part.tensors(), file)
    return file


def load(file: Path) -> Part:
    """The part in a file that `save` wrote, mapped so that processes share it; its kind is the file's name.

    Raises ArtifactError where it is no such file, or lacks what the part is made of.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file  # which maps, where that of numpy copies

    try:
        mapped = {name: tensor.numpy() for name, tensor in load_file(file).items()}
        return KINDS[file.stem].part.from_tensors(mapped)
    except KeyError as error:
        raise ArtifactError(f"{file} holds no part of a recommender: {error} is unknown or missing") from error
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}") from error
