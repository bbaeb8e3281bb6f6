"""DICOM files as a DataFrame: where they are, which frames they have, and what of their headers is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.listing import list_files
from brightspark.core.session import partitions
from brightspark.core.storage import SCHEMES, Storage
from brightspark.vision.stored import may_pass, open_stored

if TYPE_CHECKING:
    from pydicom import Dataset
    from pyspark.sql import DataFrame, SparkSession

_LISTED = ("path", "size", "modified", "label")
_MODIFIED = pa.timestamp("us", tz="UTC")
_BINARY = frozenset({"SQ", "UN", "OB", "OW", "OB or OW", "OF", "OD", "OL", "OV"})  # value representations of no text
_READERS = 8  # headers read at the same time by a task: from an object store most of the time is waiting
_ROWS = 1_000
_RUN_FRAMES = 32  # that a task reads at least of one file, whose header it has to read for them
_MOST_FRAMES = 10_000  # in a run: Spark makes its rows at once
_FIRST, _AFTER = "__brightspark_first", "__brightspark_after"  # of a run of frames
_LEAST_FRAME_BYTES = 8  # a compressed frame's own header; more frames than that are a damaged number


def read_dicom(
    spark: SparkSession,
    path: str,
    *,
    facts: Sequence[str] = (),
    all_frames: bool = False,
    schemes: tuple[str, ...] = tuple(sorted(SCHEMES)),
    storage_options: Mapping[str, Any] | None = None,
) -> DataFrame:
    """The DICOM files below a folder: `path`, `size` in bytes, `modified`, `label`, `frame`, and a column a fact.

    All files are listed, whatever they are called: exports of archives have no endings. `label` is the name of the
    folder that a file lies in. `frame` counts from 0: a row a file with frame 0, or with `all_frames` a row for each
    frame, which a model's `transform` then answers for. A file of many frames is cut into runs, which are spread over
    `spark.sql.shuffle.partitions` tasks; the rows of a run stay together and in order, since each task that reads of a
    file has to read its header.

    `facts` are keywords of the DICOM dictionary; each becomes a string column of that name, as the file holds it (more
    than one value joined by a backslash), null where a file lacks it. None are read unless you name them: **many facts
    identify patients** (PatientName, PatientID, dates, InstitutionName, UIDs…), and whoever reads the table then reads
    those. A file whose header cannot be read keeps one row, with null facts; `transform` says why. Storage that fails
    while headers are read (a timeout) fails the task, which Spark tries again. Without facts and without `all_frames`
    no file is opened.

        read_dicom(spark, "s3://bucket/export", facts=("Modality", "BodyPartExamined"), all_frames=True)

    Raises InputError for a keyword that DICOM does not have, or that stands for no text or number, and where there is
    no such folder.
    """
    tags = [_tag(keyword) for keyword in facts]
    clash = next((name for number, name in enumerate(facts) if name in facts[:number]), None)
    if clash is not None:
        raise InputError(f"facts names {clash!r} twice")
    storage = Storage(schemes=frozenset(schemes), options=storage_options or {})
    files = list_files(spark, path, suffixes=("",), storage=storage)
    if not facts and not all_frames:
        return files.withColumn("frame", F.lit(0))
    tasks = partitions(spark)
    reader = _Reader(storage=storage, facts=tuple(facts), tags=tuple(tags), runs=tasks if all_frames else 0)
    listed = "path string, size long, modified timestamp, label string"
    columns = "".join(f", {fact} string" for fact in facts)
    runs = files.mapInArrow(reader.rows, f"{listed}, {_FIRST} int, {_AFTER} int{columns}")
    if all_frames:  # one file may hold thousands: they are not to be one task's
        runs = runs.repartition(tasks)
    frame = F.explode(F.sequence(_FIRST, F.col(_AFTER) - 1)).alias("frame")
    return runs.select(*_LISTED, frame, *facts)


def _tag(keyword: str) -> int:
    from pydicom.datadict import dictionary_VR, keyword_dict

    tag = keyword_dict.get(keyword)
    if tag is None:
        raise InputError(f"DICOM has no keyword {keyword!r}; {_near(str(keyword), keyword_dict)}")
    kind = dictionary_VR(tag)
    if kind in _BINARY:
        raise InputError(f"{keyword} is no text or number, but {kind}; a fact is a string column")
    return int(tag)


def _near(name: str, known: Iterable[str]) -> str:
    """The nearest keywords; not all of the five thousand where none is near."""
    hint = did_you_mean(name, known)
    return hint if hint.startswith("did") else "PS3.6 of the standard lists them"


class _Row(NamedTuple):
    """A run of a file's frames: the file's number in its batch, the first frame, the one after the last, the facts."""

    file: int
    first: int
    after: int
    facts: Sequence[str | None]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """What travels to the workers: what to read of each header."""

    storage: Storage
    facts: tuple[str, ...]
    tags: tuple[int, ...]
    runs: int
    """Into how many a long file is cut; 0 reads the first frame of each file only."""

    def rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """A row for each run of a file's frames; the body of the Spark job."""
        with ThreadPoolExecutor(_READERS, thread_name_prefix="header") as pool:
            for batch in batches:
                sizes = batch.column("size").to_pylist()
                read = pool.map(self._read, batch.column("path").to_pylist(), sizes)
                rows: list[_Row] = []
                for number, (count, facts) in enumerate(read):
                    for first, after in pairwise(_edges(count, self.runs)):
                        rows.append(_Row(number, first, after, facts))
                        if len(rows) >= _ROWS:
                            yield self._batch(batch, rows)
                            rows = []
                yield self._batch(batch, rows)

    def _batch(self, batch: pa.RecordBatch, rows: Sequence[_Row]) -> pa.RecordBatch:
        listed = batch.select(list(_LISTED)).take(pa.array([row.file for row in rows], pa.int64()))
        columns = {name: listed.column(name) for name in _LISTED}
        columns["modified"] = columns["modified"].cast(_MODIFIED)
        columns[_FIRST] = pa.array([row.first for row in rows], pa.int32())
        columns[_AFTER] = pa.array([row.after for row in rows], pa.int32())
        for number, fact in enumerate(self.facts):
            columns[fact] = pa.array([row.facts[number] for row in rows], pa.string())
        return pa.RecordBatch.from_pydict(columns)

    def _read(self, path: str, size: int) -> tuple[int, list[str | None]]:
        """How many frames of a file get a row, and its facts."""
        from pydicom.tag import Tag

        from brightspark.vision.dicom_header import read_header

        try:
            with closing(open_stored(self.storage, path)) as file:
                header = read_header(file, [*map(Tag, self.tags), Tag("NumberOfFrames")])
                facts = [_text(header.dataset, tag) for tag in self.tags]
                frames = header.frames if self.runs else 1
        except Exception as error:
            if may_pass(error):  # the file's frames would be lost: Spark tries the task again
                raise
            return 1, [None] * len(self.facts)  # the row stays, and scoring it gives the reason
        return (frames if frames <= size // _LEAST_FRAME_BYTES else 1), facts


def _edges(frames: int, most_runs: int) -> Sequence[int]:
    """Where runs of frames begin, and where the last one ends: few of them, and all about as long."""
    runs = max(min(ceil(frames / _RUN_FRAMES), most_runs), ceil(frames / _MOST_FRAMES))
    return [frames * run // runs for run in range(runs + 1)]


def _text(dataset: Dataset, tag: int) -> str | None:
    """An element's value as text; null where there is none, and where it is damaged."""
    from pydicom.multival import MultiValue

    held = dataset.file_meta if tag >> 16 == 0x0002 else dataset
    try:
        value = held[tag].value if tag in held else None
        text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else "" if value is None else str(value)
    except Exception:
        return None
    return text.encode("utf-8", "replace").decode() or None
