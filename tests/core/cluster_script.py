"""Run by test_cluster in a process of its own: two executors with their own JVMs, folders and caches."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
WORK = Path(sys.argv[1])

os.environ.update(
    SPARK_HOME=str(Path(pyspark.__file__).parent),
    SPARK_LOCAL_IP="127.0.0.1",
    SPARK_SCALA_VERSION="2.13",
    PYSPARK_PYTHON=sys.executable,
    SPARK_WORKER_DIR=str(WORK / "workers"),
)


def relative_paths(spark: SparkSession) -> dict[str, int]:
    """Rows without an error from paths that are named from the driver's folder, where no executor stands."""
    from brightspark.core.publish import publish
    from brightspark.vision import ImageClassifierModel, read_dicom, read_images
    from tests.vision.dicom_writing import shipped
    from tests.vision.networks import save_network
    from tests.vision.pictures import save_pictures

    save_pictures(Path("pictures/cat"), 6)
    Path("list.csv").write_text("path\npictures/cat/0000.jpg\npictures/cat/0003.jpg\n")
    spark.read.csv("list.csv", header=True).write.parquet("held")
    Path("scans").mkdir()
    Path("scans/one").write_bytes(shipped("MR_small.dcm"))
    model = ImageClassifierModel.pretrained(str(save_network(Path("network"))))
    frames = {
        "folder": read_images(spark, "pictures"),
        "table": read_images(spark, "list.csv"),
        "table folder": read_images(spark, "held"),
        "named format": read_images(spark, "list.csv", format="csv"),
        "dicom": read_dicom(spark, "scans", facts=("Rows",)).filter("Rows is not null"),
    }
    good = {name: model.transform(frame).filter("error is null").count() for name, frame in frames.items()}
    published = publish(model.transform(frames["folder"]), "good", "bad")
    there = spark.read.parquet(str(Path("good").absolute())).count()
    return {**good, "published": there, "quarantined": published.errors}


def main() -> None:
    from pyspark.sql import SparkSession

    from tests.core.logged import BUCKET, SCHEME, fetched
    from tests.core.toy import ToyModel

    (WORK / "drivers").mkdir()
    os.chdir(WORK / "drivers")
    bucket = WORK / "bucket"
    bucket.mkdir()
    os.environ[BUCKET] = str(bucket)
    spark = (
        SparkSession.builder.master("local-cluster[2,2,1024]")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .config("spark.executorEnv.PYTHONPATH", str(ROOT))
        .config("spark.executorEnv.BRIGHTSPARK_CACHE", "own-cache")  # relative: below each executor's own folder
        .config(f"spark.executorEnv.{BUCKET}", str(bucket))
        .getOrCreate()
    )
    table = spark.createDataFrame([(f"text {number}",) for number in range(400)], "text string").repartition(16)

    gone = ToyModel.make(WORK / "model")
    scored = gone.transform(table)
    (WORK / "model").rename(WORK / "renamed")
    answered = scored.filter("error is null").count()

    (bucket / "models").mkdir()
    remote = f"{SCHEME}://models/toy"
    other = ToyModel.make(WORK / "other", ["n", "e", "s", "w"], predict_seconds=0.05)
    other.save(remote)
    loaded = ToyModel.load(remote)
    for log in bucket.glob("fetched-*"):
        log.unlink()
    workers = loaded.transform(table).filter("error is null").count()
    seen = {"answered": answered, "from_uri": workers, "fetched": fetched(bucket), "relative": relative_paths(spark)}
    sys.stdout.write(json.dumps(seen) + "\n")


main()
