"""The names of a model's labels, from its folder or from ImageNet's own lists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brightspark.core.errors import ArtifactError

# timm's lists of classes, by how many there are; a model names its own where two lists are equally long.
_SUBSETS = {1000: "imagenet-1k", 21841: "imagenet-22k", 21843: "imagenet-21k-goog", 11221: "imagenet-21k-miil",
            11821: "imagenet-12k"}  # fmt: skip


def read_labels(folder: Path) -> tuple[str, ...]:
    """The label names of a model in timm's layout, in the order of its outputs.

    Those in config.json; else ImageNet's where the number of classes is that of one of its lists; else the indices.
    Raises ArtifactError where config.json is damaged, names another number of labels than the model has, or has no
    classes at all.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        count = int(config["num_classes"] if "num_classes" in config else config["pretrained_cfg"]["num_classes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder}/config.json is not timm's: {error!r}") from error
    if count < 1:
        raise ArtifactError(f"{folder} is a network without a classifier: num_classes is {count} in its config.json")
    named = _named(config)
    if named is not None:
        if len(named) != count or len(set(named)) != count:
            raise ArtifactError(f"{folder}/config.json has {len(set(named))} different label_names for {count} classes")
        return tuple(named)
    if count in _SUBSETS:
        return imagenet_labels(_SUBSETS[count])
    return tuple(str(index) for index in range(count))


def imagenet_labels(subset: str = "imagenet-1k") -> tuple[str, ...]:
    """The names of ImageNet's classes as timm describes them, in the order of the index.

    A name that two classes share gets its WordNet synset appended: `crane (n02012849)` is the bird.
    """
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo(subset)
    count = info.num_classes()
    return unique_names(
        [info.index_to_description(index) for index in range(count)],
        [info.index_to_label_name(index) for index in range(count)],
    )


def unique_names(names: Sequence[str], synsets: Sequence[str]) -> tuple[str, ...]:
    """The names, each that stands twice with its synset behind it.

    >>> unique_names(["crane", "crane", "owl"], ["n1", "n2", "n3"])
    ('crane (n1)', 'crane (n2)', 'owl')
    """
    count = Counter(names)
    return tuple(
        name if count[name] == 1 else f"{name} ({synset})" for name, synset in zip(names, synsets, strict=True)
    )


def _named(config: dict[str, Any]) -> list[str] | None:
    """The labels that config.json names: timm writes them at the top, older files within pretrained_cfg."""
    for holder in (config, config.get("pretrained_cfg") or {}):
        names = holder.get("label_names")
        if not names:
            continue
        descriptions = holder.get("label_descriptions")
        if isinstance(descriptions, dict):
            described = [str(descriptions.get(name, name)) for name in names]
            return list(unique_names(described, [str(name) for name in names]))
        return [str(name) for name in names]
    return None
