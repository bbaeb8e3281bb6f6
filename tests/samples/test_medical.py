"""Medical samples are what they say: pairs of skin patches whose images are known, DICOM files, mammograms."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brightspark import samples

pytestmark = pytest.mark.samples


def pairs() -> list[dict[str, str]]:
    with (samples.dermoscopy() / "pairs.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def patches(path: str) -> tuple[bytes, bytes]:
    """The pixels of both patches, from the upper half of a picture."""
    pixels = np.asarray(Image.open(samples.dermoscopy() / path))
    height, width = (length // 2 for length in pixels.shape[:2])
    first, second = pixels[:height, :width], pixels[:height, width:]
    np.testing.assert_array_equal(pixels[height:], np.hstack([second, first]))
    return first.tobytes(), second.tobytes()


def test_dermoscopy_has_ten_pairs_of_each_image() -> None:
    rows = pairs()
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert {(samples.dermoscopy() / row["path"]).is_file() for row in rows} == {True}
    assert {Path(row["path"]).parent.name == row["label"] for row in rows} == {True}
    assert Counter(row["label"] for row in rows) == {"Similar": 995, "nonSimilar": 995}
    assert set(Counter(row["source"] for row in rows).values()) == {10}
    assert Counter(row["label"] for row in rows if row["source"] != row["second_source"]) == {"nonSimilar": 260}


def test_pairs_of_one_image_share_no_patch_with_another_image() -> None:
    owners: dict[bytes, set[str]] = {}
    for row in pairs():
        if row["source"] == row["second_source"]:
            for patch in patches(row["path"]):
                owners.setdefault(patch, set()).add(row["source"])
    assert len(owners) > 2_000
    assert [sources for sources in owners.values() if len(sources) > 1] == []


def test_dicoms_and_mammograms_are_dicom_files() -> None:
    files = [path for folder in (samples.dicoms(), samples.mammograms()) for path in folder.rglob("*.dcm")]
    labels = Counter(path.parent.name for path in files)
    assert labels == {samples.dicoms().name: 68, "benign": 4, "malignant": 4}
    with_preamble = [path for path in files if path.read_bytes()[128:132] == b"DICM"]
    assert [path.name for path in files if path not in with_preamble] == ["OT-PAL-8-face.dcm"]  # a bare data set
