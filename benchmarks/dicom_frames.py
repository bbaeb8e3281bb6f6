"""DICOM files of many frames: milliseconds a frame by the number of frames, `python benchmarks/dicom_frames.py`.

Each frame is a row that is read by itself. What a file's header and its table of frames cost is not to be paid for each
of them again: the time a frame must not grow with their number. One file of 256×256 pixels a frame, one round of the
engine alone and one through Spark, whose workers are warm.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import images
import machine
import numpy as np
from pydicom.uid import JPEGBaseline8Bit

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.vision.dicom_writing import compressed, dicom_bytes, dicom_set, window_group
from tests.vision.pictures import picture

SIDE = 256  # pixels
BATCH = 32
RESULT = Path(__file__).parent / "results" / "dicom_frames.json"


def frames(count: int) -> Any:
    """So many pictures; eight of them, again and again."""
    return np.stack([np.asarray(picture(number % 8, (SIDE, SIDE), "L")) for number in range(count)])


def jpeg(count: int, *, table: bool = True) -> bytes:
    codestreams = []
    for number in range(count):
        file = io.BytesIO()
        picture(number % 8, (SIDE, SIDE), "L").save(file, "JPEG", quality=90)
        codestreams.append(file.getvalue())
    blank = dicom_set(np.zeros((SIDE, SIDE), np.uint8), NumberOfFrames=count)
    return compressed(blank, JPEGBaseline8Bit, codestreams, table=table)


KINDS: dict[str, Callable[[int], bytes]] = {
    "uncompressed": lambda count: dicom_bytes(dicom_set(frames(count), frames=count)),
    "uncompressed, with functional groups": lambda count: dicom_bytes(
        dicom_set(
            frames(count), frames=count, PerFrameFunctionalGroupsSequence=[window_group(128, 256) for _ in range(count)]
        )
    ),
    "JPEG, table of offsets": jpeg,
    "JPEG, no table": lambda count: jpeg(count, table=False),
}


def by_engine(model: Any, path: str, count: int) -> tuple[float, float]:
    """Milliseconds a frame, and those of the process's CPU time."""
    rows = [{"path": path, "frame": number} for number in range(count)]
    scorer = model.scorer()
    began, used = time.perf_counter(), time.process_time()
    for outcomes in scorer.score(rows[start : start + BATCH] for start in range(0, count, BATCH)):
        assert not any(outcome.error for outcome in outcomes), outcomes
    return (time.perf_counter() - began) / count * 1e3, (time.process_time() - used) / count * 1e3


def by_spark(model: Any, spark: Any, path: str, count: int) -> float:
    from brightspark.vision import read_dicom

    began = time.perf_counter()
    table = read_dicom(spark, str(Path(path).parent), all_frames=True)
    model.transform(table).write.format("noop").mode("overwrite").save()
    return (time.perf_counter() - began) / count * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="test_resnet", help="a timm model, with random weights")
    options = parser.parse_args()

    from brightspark.core.session import session
    from brightspark.vision import ImageClassifierModel

    described = machine.describe()
    print(machine.headline(described))
    spark = session()
    model = ImageClassifierModel.pretrained(
        str(images.model_folder(options.model)), precision="float32", frame_col="frame"
    )
    found: dict[str, dict[int, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, made in KINDS.items():
            for count in options.frames:
                path = Path(folder) / name / str(count) / "one.dcm"
                path.parent.mkdir(parents=True)
                path.write_bytes(made(count))
                rounds = [
                    (*by_engine(model, str(path), count), by_spark(model, spark, str(path), count))
                    for _ in range(options.rounds + 1)
                ][1:]  # the first one warms the workers and the page cache
                engine, cpu, by_workers = taken = [statistics.median(values) for values in zip(*rounds, strict=True)]
                found.setdefault(name, {})[count] = taken
                print(
                    f"{name:<40} {count:>6} frames  engine {engine:6.2f} (CPU {cpu:6.2f}), Spark {by_workers:6.2f}"
                    " ms/frame"
                )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"machine": described, "settings": vars(options), "milliseconds": found}, indent=1))
    spark.stop()


if __name__ == "__main__":
    main()
