"""Many files through Spark for several visitors: what one of them does is none of the others' business."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from brightspark.apps.job import Files, Job
from brightspark.core.errors import StorageError
from brightspark.core.interrupt import Jobs
from brightspark.vision import ImageClassifierModel
from brightspark.vision.app_many import FOLDER, Many

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(network: Path) -> ImageClassifierModel:
    return ImageClassifierModel.pretrained(str(network))


def test_cancel_ends_a_slice_that_spark_still_plans(spark: SparkSession) -> None:
    planning, pressed = threading.Event(), threading.Event()

    def a_minute(table: DataFrame) -> DataFrame:
        planning.set()
        pressed.wait(60)
        sleep = F.call_function("java_method", F.lit("java.lang.Thread"), F.lit("sleep"), F.lit(60_000).cast("long"))
        return table.select("position", sleep.alias("slept"))

    job = Job(Jobs(spark), Files(["a.jpg"]), a_minute)
    slices: list[list[Row]] = []
    work = threading.Thread(target=lambda: slices.extend(job.run()), daemon=True)
    work.start()
    assert planning.wait(60)
    cancel = threading.Thread(target=job.cancel, daemon=True)
    cancel.start()
    cancel.join(1)  # it has interrupted by now, and there was nothing to interrupt
    pressed.set()
    work.join(40)
    cancel.join(5)
    assert not work.is_alive()
    assert not cancel.is_alive()
    assert (job.cancelled, job.done, slices) == (True, 0, [])


def test_what_one_visitor_ends_goes_on_for_another(
    spark: SparkSession, model: ImageClassifierModel, folder: Path
) -> None:
    many = Many(model, folder=str(folder), photographs=None)
    first, _ = many.job("first", FOLDER, [], "trip")
    next(first.run())  # on classic Spark the first visitor's own session is the active one now
    ended = threading.Event()

    def press() -> None:
        while not ended.wait(0.01):
            first._jobs.stop()

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        second, _ = many.job("second", FOLDER, [], "trip")
        rows = [row for part in second.run() for row in part]
    finally:
        ended.set()
        pressing.join()
    assert len(rows) == 20


def test_a_folder_that_is_gone_is_said_before_anything_is_served(model: ImageClassifierModel, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no folder"):
        Many(model, folder=str(tmp_path / "gone"), photographs=None)
