"""A worker's memory stays bounded, whatever it scores and however much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.vision.pictures import picture

# The body of the UDF, in a process of its own, as in a Spark worker: nothing but the engine adds to its memory.
SCRIPT = """
import io, json, sys
from pathlib import Path
import numpy as np, pyarrow as pa, timm, torch
from PIL import Image
from timm.models import save_for_hf
from brightspark.core.classifier_settings import answer_type
from brightspark.core.worker import run
from brightspark.vision.model import timm_artifact
from brightspark.core.worker import Scoring
from brightspark.vision.settings import ImageSettings

folder = Path(sys.argv[1])
torch.manual_seed(0)
network = timm.create_model("test_resnet", num_classes=1000, pretrained_cfg_overlay={"input_size": (3, 32, 32)})
save_for_hf(network, str(folder), safe_serialization=True)
settings = ImageSettings(input_col="content", top_k=5)
scoring = Scoring(loader="brightspark.vision.predictor:load", artifact=timm_artifact(folder), settings=settings,
                  columns=("content",), answer_type=answer_type(settings))

def encoded(side):
    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

images = [encoded(side) for side in range(40, 80)]
seen = {}

def batches():
    for number in range(0, 20_000, 500):
        if number in (2_000, 19_500):
            seen[number] = resident()
        contents = [images[(number + row) % len(images)] for row in range(500)]
        yield pa.StructArray.from_arrays([pa.array(contents, pa.binary())], names=["content"])

rows = sum(len(answers) for answers in run(scoring, batches()))
print(json.dumps({"rows": rows, "after_2000": seen[2_000], "after_20000": resident()}))
"""


@pytest.mark.slow
def test_memory_after_20_000_images_is_what_it_was_after_2_000(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["rows"] == 20_000
    assert seen["after_20000"] <= seen["after_2000"] + 50, seen  # MiB


# A process of its own, whose peak the kernel is told to forget before each picture.
STILLS = """
import io, json, sys
from pathlib import Path
from brightspark.vision.images import open_still

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

for name in sys.argv[1:]:
    for run in range(2):  # the first one loads the format's library
        with open(name, "rb") as file:
            opened = open_still(file)
            Path("/proc/self/clear_refs").write_text("5")
            before = status("VmRSS")
            opened.decode("RGB")
            peak = status("VmHWM") - before
        (width, height), allowed, opened = opened.size, opened.pixel_bytes, None
    print(json.dumps([peak / (width * height), allowed]))
"""

STILL_MODES = {"RGB": "jpg", "RGB turned": "jpg", "CMYK": "jpg", "L": "png", "P": "png", "P transparent": "png",
               "RGBA": "png", "LA": "png", "I;16": "png", "I;16 tiff": "tiff", "RGB webp": "webp",
               "RGBA webp": "webp"}  # fmt: skip


def test_what_decoding_a_still_takes_is_known_beforehand(tmp_path: Path) -> None:
    side = 1500
    names = {what: str(tmp_path / f"{what}.{ending}") for what, ending in STILL_MODES.items()}
    colours = picture(1, (side, side))
    for what, name in names.items():
        mode = what.partition(" ")[0]
        made = colours.quantize(64) if mode == "P" else colours.convert("L" if mode == "I;16" else mode).convert(mode)
        exif = Image.Exif()
        exif[0x0112] = 6 if "turned" in what else 1
        options: dict[str, Any] = {"exif": exif} if name.endswith("jpg") else {}
        made.save(name, **options, **({"transparency": bytes(64)} if "transparent" in what else {}))
    freed_at_once = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    done = subprocess.run(
        [sys.executable, "-c", STILLS, *names.values()],
        capture_output=True, text=True, timeout=200, env={**os.environ, **freed_at_once},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    seen = dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))
    assert {what: taken for what, taken in seen.items() if taken[0] > taken[1] + 1} == {}
    assert {what: taken for what, taken in seen.items() if taken[1] > 2 * taken[0] + 4} == {}
