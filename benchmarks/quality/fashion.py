"""Fashion-MNIST, of Debian's package dataset-fashion-mnist, as files that both contenders read."""

from __future__ import annotations

import gzip
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

LABELS = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
PACKAGE = "dataset-fashion-mnist"


def fetch(folder: Path) -> Path:
    """The folder of the package's four files, fetched by apt where it is not there."""
    found = list(folder.glob("**/train-images-idx3-ubyte.gz"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True, capture_output=True)
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package.name, "."], cwd=folder, check=True)
        found = list(folder.glob("**/train-images-idx3-ubyte.gz"))
    return found[0].parent


def read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The pictures (count × 28 × 28) and labels of `train` or `t10k`."""
    images = np.frombuffer(gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 28, 28), labels


def write_single(source: Path, target: Path, part: str, count: int) -> list[tuple[str, str]]:
    """The first `count` pictures as PNG files; path and label of each."""
    images, labels = read(source, part)
    return _write(target / part, [(image, LABELS[label]) for image, label in zip(images[:count], labels, strict=False)])


def write_composites(source: Path, target: Path, part: str, count: int) -> list[tuple[str, list[str]]]:
    """Four pictures in a square each, drawn at random: the labels of those that are in it."""
    images, labels = read(source, part)
    drawn = np.random.default_rng(0).integers(0, len(images), (count, 4))
    made = []
    for four in drawn:
        rows = np.block([[images[four[0]], images[four[1]]], [images[four[2]], images[four[3]]]])
        made.append((rows, sorted({LABELS[label] for label in labels[four]})))
    return _write(target / part, made)


def _write(folder: Path, made: list) -> list:
    folder.mkdir(parents=True)
    written = []
    for number, (image, label) in enumerate(made):
        path = folder / f"{number:05d}.png"
        Image.fromarray(np.asarray(image)).save(path)
        written.append((str(path), label))
    return written


def scratch() -> Path:
    """Where the package is kept between runs."""
    return Path(tempfile.gettempdir()) / "fashion"
