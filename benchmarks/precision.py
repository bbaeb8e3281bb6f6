"""bfloat16 against float32 on pretrained efficientnet_lite0: `python benchmarks/precision.py`.

Over 600 seeded crops of the samples' photographs: the share of equal predictions, over all, and over those whose two
largest float32 probabilities are at least 0.1 apart. Goals: 98.5 % and 100 %.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import images
import machine
import numpy as np
from pyspark.sql import DataFrame

GOAL_ALL, GOAL_CLEAR = 0.985, 1.0
MARGIN = 0.1  # between the two largest float32 probabilities
RESULT = Path(__file__).parent / "results" / "precision.json"


def probabilities(scored: DataFrame) -> np.ndarray:
    """Images × classes, in the order of the paths."""
    rows = scored.select("path", "probability").orderBy("path").collect()
    return np.array([row.probability for row in rows])


def compare(exact: np.ndarray, fast: np.ndarray) -> dict[str, object]:
    """How often the largest probability is the same class, and where the margin is clear."""
    ordered = np.sort(exact, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    same = exact.argmax(axis=1) == fast.argmax(axis=1)
    clear = margin >= MARGIN
    return {
        "images": len(same),
        "clear_images": int(clear.sum()),
        "same": float(same.mean()),
        "same_where_clear": float(same[clear].mean()),
        "margins_of_the_others": sorted(round(float(value), 4) for value in margin[~same]),
        "largest_probability_difference": float(np.abs(exact - fast).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    options = parser.parse_args()

    from brightspark import samples
    from brightspark.core.session import session
    from brightspark.vision import ImageClassifierModel, read_images

    described = machine.describe()
    print(machine.headline(described))
    spark = session()
    folder = str(samples.model("efficientnet-lite0"))
    frame = read_images(spark, str(images.image_folder(options.images)))
    exact, fast = (
        probabilities(ImageClassifierModel.pretrained(folder, precision=precision).transform(frame))
        for precision in ("float32", "bfloat16")
    )
    found = compare(exact, fast)
    for name, value in found.items():
        print(f"{name}: {value}")
    met = found["same"] >= GOAL_ALL and found["same_where_clear"] >= GOAL_CLEAR  # type: ignore[operator]
    print(f"goals {GOAL_ALL:.1%} of all, {GOAL_CLEAR:.0%} of the clear: {'met' if met else 'SHORT'}")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"machine": described, **found}, indent=1) + "\n")
    spark.stop()


if __name__ == "__main__":
    main()
