"""Who was where, and when: a camera's video becomes a table of events, by deep features and Spark ML.

    python examples/surveillance.py vtest.avi --out folder                  # deep features and logistic regression
    python examples/surveillance.py vtest.avi --out folder --fine-tune      # the network itself learns, in minutes

vtest.avi is a fixed camera over a square with pedestrians. It is part of Debian's package opencv-doc:
`apt-get download opencv-doc`, then `dpkg-deb -x opencv-doc_*.deb opencv`. Any video of a fixed camera will do.

Whatever differs from the picture without people (each pixel's median over time) is cut out and taken for a person;
patches of the same size where nothing moves are taken for background. A classifier learns from the first part of the
video, is measured on the rest, and scores all of it; Spark's window functions join its answers into events.
The folder gets `events.parquet` and `surveillance.html`.
"""

from __future__ import annotations

import argparse
import io
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFilter

from brightspark import samples
from brightspark.core import report
from brightspark.core.classification_blocks import classification_blocks
from brightspark.core.features import FeaturePipeline
from brightspark.core.named_answers import NamedAnswers
from brightspark.core.session import session
from brightspark.vision import ImageClassifier, ImageFeaturizer, evaluate, read_video

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.vision import ImageClassifierModel

EVERY = 0.5  # seconds between the moments that are looked at
LEARN_SHARE = 0.6  # of the time; the classifier is measured on the rest
BACKGROUND_FRAMES = 40
DIFFERENCE = 30  # grey values by which a pixel must differ from the background
CELL = 8  # pixels; boxes are found on a grid of cells
MIN_CELLS, MAX_CELLS = 8, 300  # of a box: less is noise, more is a crowd or a cloud's shadow
MARGIN = 8  # pixels around a box
ZONES = (4, 3)  # across and down: events are told apart by where they are
PAUSE = 1.6  # seconds without a person that end an event
SCENE = 10.0  # seconds whose patches learn or validate together
THRESHOLD = 0.5  # probability of a person
SHOWN = 12  # events with pictures

EVENT = ("camera", "zone", "start", "end", "class", "peak_probability")
CROPS = "camera string, time double, zone string, box array<int>, label string, content binary"


@dataclass(frozen=True)
class Box:
    """Pixels from `left` to before `right`, and from `top` to before `bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    def overlaps(self, mask: np.ndarray[Any, Any]) -> bool:
        """Whether anything moves in it."""
        return bool(mask[self.top // CELL : -(-self.bottom // CELL), self.left // CELL : -(-self.right // CELL)].any())


def main() -> None:
    """Reads, learns, scores, joins and shows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the events and the page")
    parser.add_argument("--fine-tune", action="store_true", help="train the whole network, not only a regression")
    options = parser.parse_args()
    if not options.video.is_file():
        sys.exit(
            f"there is no {options.video}. vtest.avi is part of Debian's package opencv-doc: `apt-get download "
            "opencv-doc`, then `dpkg-deb -x opencv-doc_*.deb opencv` and look below opencv/usr/share/doc/opencv-doc"
        )
    spark = session("surveillance")
    crops = cut_crops(spark, options.video, options.out)
    split = end_of_learning(crops)
    model = (fine_tune if options.fine_tune else learn)(crops.where(f"time < {split}"))
    scored = stored(model.transform(crops), options.out / "scored.parquet")
    measured = evaluate(scored.where(f"time >= {split} + {PAUSE}"))
    print(measured)
    events = stored(join_events(scored), options.out / "events.parquet")
    events.orderBy("start", "zone").show(20, truncate=False)
    page = write_page(options.out, measured, events, scored, split)
    print(f"the page is {page}")


def stored(frame: DataFrame, path: Path) -> DataFrame:
    """A DataFrame from where it was written: what was decoded and scored once is not computed again."""
    frame.write.mode("overwrite").parquet(str(path))
    return frame.sparkSession.read.parquet(str(path))


def end_of_learning(crops: DataFrame) -> float:
    """The time in seconds before which the classifier learns; ends the program where there is nothing to learn."""
    last = crops.agg({"time": "max"}).first()[0]
    if last is None:
        sys.exit("nothing moves in this video, or all of it does at once: there is nobody to learn from")
    split = float(LEARN_SHARE * last)
    labels = [row["label"] for row in crops.where(f"time < {split}").select("label").distinct().collect()]
    if len(labels) < 2:
        shown = f"patches of {labels[0]!r} only" if labels else "no patches at all"
        sys.exit(f"the first {split:.0f} s of this video show {shown}: to learn, it takes people and background")
    return split


# Crops.


def cut_crops(spark: SparkSession, video: Path, out: Path) -> DataFrame:
    """Patches with what moves, and as many where nothing does: a row each, with its weak label."""
    frames = stored(read_video(spark, str(video), every=EVERY, content=True), out / "frames.parquet")
    frames = frames.where("content is not null")
    background = median_background(frames)
    return stored(frames.mapInArrow(partial(crops_of, background=background), CROPS), out / "crops.parquet")


def median_background(frames: DataFrame) -> np.ndarray[Any, Any]:
    """The grey picture without people: each pixel's median over a few frames of the whole time."""
    from pyspark.sql import functions as F

    step = max(1, frames.count() // BACKGROUND_FRAMES)
    some = frames.where(F.floor(F.col("time") / EVERY) % step == 0).select("content").collect()
    if not some:
        sys.exit("no frame of this video can be read: `content_error` in frames.parquet says why")
    return np.median([grey(opened(row["content"])) for row in some], axis=0).astype(np.uint8)


def crops_of(batches: Iterable[pa.RecordBatch], background: np.ndarray[Any, Any]) -> Iterator[pa.RecordBatch]:
    """Runs on the workers: frames in, crops out, a batch for each frame."""
    for batch in batches:
        for row in batch.select(["camera", "time", "content"]).to_pylist():
            image = opened(row["content"])
            mask = moving_cells(grey(image), background)
            people = boxes(mask)
            still = still_boxes(people, mask, image.size, seed=int(row["time"] / EVERY))
            crops = [
                {
                    "camera": row["camera"],
                    "time": row["time"],
                    "zone": zone(box, image.size),
                    "box": [box.left, box.top, box.right, box.bottom],
                    "label": label,
                    "content": encoded(image.crop((box.left, box.top, box.right, box.bottom))),
                }
                for label, found in (("person", people), ("background", still))
                for box in found
            ]
            yield pa.RecordBatch.from_pylist(crops, SCHEMA)


SCHEMA = pa.schema(
    [
        ("camera", pa.string()),
        ("time", pa.float64()),
        ("zone", pa.string()),
        ("box", pa.list_(pa.int32())),
        ("label", pa.string()),
        ("content", pa.binary()),
    ]
)


def opened(content: bytes) -> Image.Image:
    """An encoded picture."""
    return Image.open(io.BytesIO(content)).convert("RGB")


def encoded(image: Image.Image) -> bytes:
    """A picture as a JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


def grey(image: Image.Image) -> np.ndarray[Any, Any]:
    """A picture's grey values, a little blurred against noise."""
    return np.asarray(image.convert("L").filter(ImageFilter.BoxBlur(2)))


def moving_cells(picture: np.ndarray[Any, Any], background: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which cells of the grid differ from the background in a quarter of their pixels."""
    differs = np.abs(picture.astype(int) - background) > DIFFERENCE
    height, width = (side // CELL * CELL for side in differs.shape)
    cells = differs[:height, :width].reshape(height // CELL, CELL, width // CELL, CELL)
    return cells.mean(axis=(1, 3)) > 0.25


def boxes(mask: np.ndarray[Any, Any]) -> list[Box]:
    """Boxes around connected cells."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    found = []
    while left:
        group, edge = set(), [left.pop()]
        while edge:
            row, column = edge.pop()
            group.add((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            edge += near
        if MIN_CELLS <= len(group) <= MAX_CELLS:
            rows, columns = zip(*group, strict=True)
            found.append(padded(min(columns), min(rows), max(columns) + 1, max(rows) + 1, mask.shape))
    return sorted(found, key=lambda box: (box.left, box.top))


def padded(left: int, top: int, right: int, bottom: int, shape: tuple[int, ...]) -> Box:
    """A box in pixels around cells, with a margin, within the picture."""
    height, width = (side * CELL for side in shape)
    return Box(
        max(0, left * CELL - MARGIN),
        max(0, top * CELL - MARGIN),
        min(width, right * CELL + MARGIN),
        min(height, bottom * CELL + MARGIN),
    )


def still_boxes(people: list[Box], mask: np.ndarray[Any, Any], size: tuple[int, int], *, seed: int) -> list[Box]:
    """For each box another one of its size, anywhere, in which nothing moves."""
    luck = np.random.default_rng(seed)
    found = []
    for box in people:
        width, height = box.right - box.left, box.bottom - box.top
        for _ in range(20):
            left, top = (int(luck.integers(0, side + 1)) for side in (size[0] - width, size[1] - height))
            moved = Box(left, top, left + width, top + height)
            if not moved.overlaps(mask):
                found.append(moved)
                break
    return found


def zone(box: Box, size: tuple[int, int]) -> str:
    """Where a box's centre is: A1 is at the top left."""
    across = min(ZONES[0] - 1, (box.left + box.right) * ZONES[0] // (2 * size[0]))
    down = min(ZONES[1] - 1, (box.top + box.bottom) * ZONES[1] // (2 * size[1]))
    return f"{'ABCDEFGH'[across]}{down + 1}"


# The classifier and the events.


def learn(crops: DataFrame) -> PipelineModel:
    """Features of a network that was trained on photographs, and a logistic regression on them."""
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import StringIndexer

    names = StringIndexer(inputCol="label", outputCol="index", stringOrderType="alphabetAsc").fit(crops)
    learner = LogisticRegression(labelCol="index", regParam=0.01)
    featurizer = ImageFeaturizer.pretrained(str(samples.model("efficientnet-lite0")))
    stages: list[Any] = [names, learner, NamedAnswers(names.labels)]
    return FeaturePipeline(featurizer, Pipeline(stages=stages)).fit(crops)


def fine_tune(crops: DataFrame) -> ImageClassifierModel:
    """The whole network, trained on the patches; those of one scene are alike, and stay on one side."""
    from pyspark.sql import functions as F

    scenes = crops.withColumn("scene", F.floor(F.col("time") / SCENE))
    network = str(samples.model("efficientnet-lite0"))
    settings = {"image_size": 96, "epochs": 3, "group_col": "scene", "validation_share": 0.2}
    model: ImageClassifierModel = ImageClassifier(network, **settings).fit(scenes)
    print(f"fine-tuned: {model.artifact.metrics}")
    return model


def join_events(scored: DataFrame) -> DataFrame:
    """Moments with a person in a zone, joined where they follow each other: camera, zone, start, end, class, peak."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    person = F.col("probability")[1]  # background, person
    there = (
        scored.where(person >= THRESHOLD)
        .groupBy("camera", "zone", "time")
        .agg(F.max(person).alias("peak"), F.max_by("box", person).alias("box"))
    )
    in_order = Window.partitionBy("camera", "zone").orderBy("time")
    begins = F.coalesce(F.col("time") - F.lag("time").over(in_order) > PAUSE, F.lit(True))
    return (
        there.withColumn("begins", begins.cast("int"))
        .withColumn("event", F.sum("begins").over(in_order))
        .groupBy("camera", "zone", "event")
        .agg(
            F.min("time").alias("start"),
            (F.max("time") + EVERY).alias("end"),
            F.lit("person").alias("class"),
            F.max("peak").alias("peak_probability"),
            F.max_by("time", "peak").alias("peak_time"),
            F.max_by("box", "peak").alias("box"),
        )
        .drop("event")
    )


# The page.


def write_page(out: Path, measured: Any, events: DataFrame, scored: DataFrame, split: float) -> Path:
    """The events with their timeline and pictures, and how good the classifier is."""
    rows = events.orderBy("start", "zone").collect()  # as many as a page can show
    longest = sorted(rows, key=lambda row: row["start"] - row["end"])[:SHOWN]
    crops, seconds = scored.count(), scored.agg({"time": "max"}).first()[0] + EVERY
    section = report.Section(
        title="Surveillance: who was where, and when",
        summary=f"{seconds:.0f} seconds of video, a look every {EVERY} s: {crops:,} patches scored, {len(rows)} events "
        "in which a zone of the picture holds a person.",
        blocks=[
            report.Figures(
                [
                    report.KeyFigure(len(rows), "", "events"),
                    report.KeyFigure(f"{100 * (measured.accuracy or 0):.1f}", "%", "agreement with the weak labels"),
                    report.KeyFigure(measured.counts.measured, "", f"patches to measure with, after {split:.0f} s"),
                ]
            ),
            report.Note(
                "Nobody has labelled this video. What moves was taken for a person, and what stands still for "
                "background; so the agreement says how well the classifier tells the two apart in a part of the "
                "video that it has not seen, and not how many people it finds or misses. Someone who stands still "
                "for long becomes background. All of it is one camera on one day: another one needs its own crops."
            ),
            report.Plot(
                timeline(rows), alt="Events by zone over time", caption="A bar is an event: from start to end."
            ),
            report.Gallery(
                [card(row, out) for row in longest], caption="The longest events, where the classifier is surest."
            ),
            report.Table(
                ("camera", "zone", "start (s)", "end (s)", "class", "peak probability"),
                [tuple(row[name] for name in EVENT) for row in rows],
                caption=f"Zones are {ZONES[0]} columns, A to {'ABCDEFGH'[ZONES[0] - 1]}, by {ZONES[1]} rows.",
            ),
            *classification_blocks(measured),
        ],
        licences=samples.licences("efficientnet-lite0"),
    )
    return report.write(
        out / "surveillance.html", [section], title="Surveillance", context={"Python": platform.python_version()}
    )


def timeline(rows: list[Any]) -> Any:
    """A bar for each event, a line for each zone."""
    from matplotlib.figure import Figure

    zones = sorted({row["zone"] for row in rows}, reverse=True)
    with report.plot_style():
        figure = Figure()
        axes = figure.subplots()
        for row in rows:
            axes.broken_barh([(row["start"], row["end"] - row["start"])], (zones.index(row["zone"]) - 0.35, 0.7))
        axes.set_yticks(range(len(zones)), zones)
        axes.set_xlabel("seconds")
    return figure


def card(row: Any, out: Path) -> report.Card:
    """An event's surest moment, the person framed."""
    import pyarrow.parquet as pq

    wanted = [("time", "=", row["peak_time"]), ("camera", "=", row["camera"])]
    (content,) = pq.read_table(out / "frames.parquet", columns=["content"], filters=wanted)["content"].to_pylist()
    image = opened(content)
    ImageDraw.Draw(image).rectangle(row["box"], outline=(255, 60, 0), width=4)
    return report.Card(
        title=f"{row['zone']}, {row['start']:.1f} to {row['end']:.1f} s",
        picture=encoded(image),
        answers=[("person", row["peak_probability"])],
    )


if __name__ == "__main__":
    main()
