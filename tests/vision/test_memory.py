"""A worker's memory stays bounded, whatever it scores and however much."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# The body of the UDF, in a process of its own, as in a Spark worker: nothing but the engine adds to its memory.
SCRIPT = """
import io, json, sys
from pathlib import Path
import numpy as np, pyarrow as pa, timm, torch
from PIL import Image
from timm.models import save_for_hf
from brightspark.core.worker import run
from brightspark.vision.model import timm_artifact
from brightspark.core.worker import Scoring
from brightspark.vision.settings import ImageSettings, answer_type

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
