"""Twenty labelled ImageNet photographs, and the names of ImageNet's classes."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from brightspark.core.errors import MissingExtraError
from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch
from brightspark.vision.labels import imagenet_labels

_PHOTOGRAPH = r"foolbox/data/imagenet_\d\d_\d{1,3}\.jpg"  # imagenet_<number>_<label index>.jpg
_MAX_BYTES = 1_000_000  # the largest of them has 130 kB


def photographs() -> Path:
    """A folder of 20 ImageNet photographs, one folder per label, and `labels.csv`.

    A photograph lies at `<label name>/imagenet_<number>_<label index>.jpg`, number 00 to 19: the layout of
    torchvision's ImageFolder. `labels.csv` has the columns path (below the folder), label_index and label, ordered by
    number. Label names are `class_names()`, the same that `model("efficientnet-lite0")` answers with.

    Raises:
        MissingExtraError: timm, which knows the names, is not installed.
        StorageError: the photographs cannot be fetched.
    """
    return cache.made(
        f"imagenet-photographs-{find('foolbox').version}",
        lambda folder: _unpack(fetch("foolbox"), folder, class_names()),
    )


def class_names() -> list[str]:
    """The 1,000 ImageNet-1k class names, in the order of the label index, as timm describes them.

    A name that two classes share gets its WordNet synset appended: `crane (n02012849)` is the bird.

    Raises:
        MissingExtraError: timm is not installed.
    """
    try:
        return list(imagenet_labels())
    except ImportError as error:
        raise MissingExtraError("ImageNet's class names need timm: pip install 'brightspark[vision]'") from error


def _unpack(archive: Path, folder: Path, names: list[str]) -> None:
    """Write the photographs and their `labels.csv` into `folder`."""
    rows = []
    for file_name, content in members(archive, _PHOTOGRAPH, max_bytes=_MAX_BYTES):
        index = int(re.split(r"[_.]", file_name)[2])
        path = Path(names[index], file_name)
        (folder / path.parent).mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        rows.append((path.as_posix(), index, names[index]))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label_index", "label"), *rows])
