"""Videos as a DataFrame of moments. Knows PyAV on the workers, no torch."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError, one_line
from brightspark.core.listing import list_files
from brightspark.core.session import partitions
from brightspark.core.storage import SCHEMES, Storage, absolute, file_system
from brightspark.core.tables import format_there, read_table, with_whole_paths
from brightspark.core.transform import quoted
from brightspark.vision.film import Film
from brightspark.vision.images import MAX_PIXELS
from brightspark.vision.stored import may_pass, open_stored
from brightspark.vision.video import NO_LENGTH, SUFFIXES, open_frame

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

MAX_SECONDS = 31 * 24 * 3600  # a month; a file that claims more has a broken time stamp, and rows without end
JPEG_QUALITY = 95
ROUNDING = 1e-6  # moments
ARROW_BYTES = 16 << 20  # of encoded frames, after which a worker hands them on

_END, _COUNT = "__brightspark_end", "__brightspark_count"  # of a video, in seconds and in moments
_SEGMENTS, _SEGMENT = "__brightspark_segments", "__brightspark_segment"  # of a video; their number, and which
_NUMBER = "__brightspark_number"  # of a moment
_FRAME, _NAMES = "__brightspark_frame", ("content", "error")


def read_video(
    spark: SparkSession,
    path: str,
    *,
    every: float = 1.0,
    content: bool = False,
    segment_seconds: float = 60.0,
    format: str | None = None,
    schemes: tuple[str, ...] = tuple(sorted(SCHEMES)),
    base: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> DataFrame:
    """Moments of videos, a row every so many seconds: a folder's, one file's, or those of a table of paths.

    - `path`: string, the video's,
    - `camera`: string, the table's own column where it has one; else the name of the folder below `path` that the
      video is in (of `footage/entrance/monday/8.mp4` it is `entrance`), or the file's name without its ending,
    - `time`: double, seconds from the video's first frame: 0, `every`, 2 × `every`… up to its end,
    - `content`: binary, on request: the frame as a JPEG of quality 95. Else the workers read the frame when they score;
    - `content_error`: string, with `content`: why there is none;
    - `size` and `modified` of a folder's files, and all columns of a table (Parquet, CSV, JSON lines, or any `format`
      that the session knows; relative paths are below the folder that holds it).

    How long a video is, is looked up in its last packets. One that cannot be opened keeps a row whose `time` is null,
    and whose `error` says why, once it is scored. Storage that fails meanwhile (a timeout) fails the task, which Spark
    tries again. Videos are cut into segments of about `segment_seconds`, which are spread over
    `spark.sql.shuffle.partitions` tasks; the rows of a segment stay together and in order.

    `schemes`, `base` (a folder that every video must be in) and `storage_options` are as in a model's settings, and so
    is `max_pixels`, of frames that become `content`.

    Raises SettingError where `every` or `segment_seconds` is not positive, InputError where there is nothing at `path`
    or the table has no column `path`; with Spark Connect, whose server may see other storage than this client, the
    first action raises, and a single file keeps its row.
    """
    for name, seconds in (("every", every), ("segment_seconds", segment_seconds)):
        if not 0 < seconds < float("inf"):
            raise SettingError(f"{name}={seconds} must be a number of seconds above 0")
    storage = Storage(schemes=frozenset(schemes), base=base, options=storage_options or {})
    moments = _moments(_videos(spark, path, format, storage), storage, every, segment_seconds, partitions(spark))
    if not content:
        return moments
    frame = F.col(_FRAME)
    return moments.withColumn(_FRAME, _frames(storage, max_pixels)(F.struct("path", "time"))).select(
        *moments.columns, frame["content"].alias("content"), frame["error"].alias("content_error")
    )


def _videos(spark: SparkSession, path: str, format: str | None, storage: Storage) -> DataFrame:
    """A row a video: `path`, `camera`, and what else is known of it."""
    whole = absolute(path)  # workers have working folders of their own
    if format is None and whole.lower().endswith(SUFFIXES) and _is_file(whole, storage):
        return spark.createDataFrame([(whole, _stem(whole))], "path string, camera string")
    kind = format or format_there(spark, whole, storage)
    if kind is None:
        files = list_files(spark, whole, suffixes=SUFFIXES, storage=storage)
        return files.select("path", "size", "modified", _camera(whole).alias("camera"))
    # What a named format reads may be no path, but a table's name.
    table = read_table(spark, path if format else whole, format=kind)
    if "path" not in table.columns:
        raise InputError(
            f"{path} has no column 'path'; there are {', '.join(map(repr, table.columns))}: rename the one that holds "
            "the videos' paths"
        )
    for name in ("time", "content", "content_error"):
        if name in table.columns:
            raise InputError(
                f"{path} has a column {name!r} already, which read_video would add: drop it, or rename it. A table of "
                "'path' and 'time' can be scored as it is"
            )
    folder = whole.rpartition("/")[0]
    listed = with_whole_paths(table, folder).repartition(partitions(spark), "path")
    return listed if "camera" in table.columns else listed.withColumn("camera", _camera(folder))


def _is_file(path: str, storage: Storage) -> bool:
    """Whether what is called like a video is one: a folder may be, too. Raises InputError where there is nothing."""
    from pyspark.sql.utils import is_remote

    scheme, plain = storage.check(path)
    if is_remote():  # only the server knows
        return True
    try:
        if scheme == "file":
            return not stat.S_ISDIR(Path(plain).stat().st_mode)
        return bool(file_system(path, storage.options).info(path)["type"] != "directory")
    except OSError as error:
        raise InputError(f"there is no video {path}: {one_line(error)}") from error


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def _camera(root: str) -> Column:
    """The name of the folder below `root` that a path is in, or its file's name without the ending.

    A path elsewhere (a table may list any) is known by the folder that it lies in.
    """
    parts = F.split("path", "/")
    below = F.lit(len(root.rstrip("/").split("/")) + 1)
    stem = F.regexp_replace(F.element_at(parts, -1), r"\.[^.]*$", "")
    inside = F.startswith("path", F.lit(root.rstrip("/") + "/"))
    return (
        F.when(inside & (F.size(parts) > below), F.element_at(parts, below))
        .when(inside | (F.size(parts) < 2), stem)
        .otherwise(F.element_at(parts, -2))
    )


def _moments(videos: DataFrame, storage: Storage, every: float, segment_seconds: float, tasks: int) -> DataFrame:
    """The rows of `videos`, each as often as it has moments, with their `time`."""
    columns = videos.columns
    seconds = F.least(F.col(_END), F.lit(float(MAX_SECONDS)))
    # Moments are counted, so that each is in one segment and no more. There is always the one at 0. Two seconds hold 20
    # tenths, and not a 21st where the quotient is a little above 20.
    count = F.greatest(F.ceil(seconds / every - ROUNDING), F.lit(1)).cast("long")
    segments = F.least(F.ceil(F.col(_COUNT) * every / segment_seconds).cast("long"), F.col(_COUNT))
    first = F.floor(F.col(_SEGMENT) * F.col(_COUNT) / F.col(_SEGMENTS)).cast("long")
    after = F.floor((F.col(_SEGMENT) + 1) * F.col(_COUNT) / F.col(_SEGMENTS)).cast("long")
    return (
        videos.withColumn(_END, _ends(storage)("path"))
        .withColumn(_COUNT, F.when(F.col(_END).isNotNull(), count))
        .withColumn(_SEGMENTS, segments)
        .withColumn(_SEGMENT, F.explode_outer(F.sequence(F.lit(0).cast("long"), F.col(_SEGMENTS) - 1)))
        .repartition(tasks)
        .withColumn(_NUMBER, F.explode_outer(F.sequence(first, after - 1)))
        .withColumn("time", F.col(_NUMBER) * F.lit(float(every)))
        .select(*map(quoted, columns), "time")
    )


def _ends(storage: Storage) -> Any:
    """A UDF from a video's path to its length in seconds; null where that cannot be told."""

    def brightspark_video_ends(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for batch in batches:
            yield pa.array([_end(path, storage) for path in batch.to_pylist()], pa.float64())

    return F.arrow_udf(brightspark_video_ends, "double").asNondeterministic()  # type: ignore[attr-defined]


def _end(path: str | None, storage: Storage) -> float | None:
    if path is None:
        return None
    try:
        with closing(open_stored(storage, path)) as file:
            return Film(cast(BinaryIO, file)).seconds()
    except Exception as error:
        if may_pass(error):  # the video's moments would be lost: Spark tries the task again
            raise
        return None  # whoever scores the row is told why


def _frames(storage: Storage, max_pixels: int) -> Any:
    """A UDF from a struct of path and time to a struct of content and error."""

    def brightspark_video_frames(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for batch in batches:
            rows = ((batch.field("path")[row].as_py(), batch.field("time")[row].as_py()) for row in range(len(batch)))
            yield from _bounded(_frame(path, time, storage, max_pixels) for path, time in rows)

    returned = "content binary, error string"
    return F.arrow_udf(brightspark_video_frames, returned).asNondeterministic()  # type: ignore[attr-defined]


def _frame(path: str | None, time: float | None, storage: Storage, max_pixels: int) -> tuple[bytes | None, str | None]:
    try:
        if path is None:
            raise InputError("there is no video: the path is null")
        encoded = io.BytesIO()
        with open_frame(path, time, storage.open, max_pixels=max_pixels) as picture:
            if time is None:
                raise InputError(NO_LENGTH)
            picture.decode("RGB").save(encoded, "JPEG", quality=JPEG_QUALITY)
        return encoded.getvalue(), None
    except Exception as error:
        return None, one_line(error)


def _bounded(frames: Iterable[tuple[bytes | None, str | None]]) -> Iterator[pa.StructArray]:
    """Frames in arrays that are small enough to hand on, however many rows Spark sends at once."""
    held: list[tuple[bytes | None, str | None]] = []
    size = 0
    for frame in frames:
        held.append(frame)
        size += len(frame[0] or b"")
        if size >= ARROW_BYTES:
            yield _array(held)
            held, size = [], 0
    if held:
        yield _array(held)


def _array(frames: Sequence[tuple[bytes | None, str | None]]) -> pa.StructArray:
    contents, errors = zip(*frames, strict=True)
    return pa.StructArray.from_arrays([pa.array(contents, pa.binary()), pa.array(errors, pa.string())], _NAMES)
