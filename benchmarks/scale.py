"""Images per second of brightspark at 1×, 3× and 10× the rows: `python benchmarks/scale.py`. Goal: flat.

One session, the model loaded before; the same files are listed once, three and ten times. Who goes first changes
from round to round.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import reduce
from pathlib import Path

import images
import machine
from pyspark.sql import DataFrame
from ratios import ratio, spread

TIMES = (1, 3, 10)
GOAL = 0.95  # of the images/s at 1×, at 3× and at 10×
RESULT = Path(__file__).parent / "results" / "scale.json"


def times_over(frame: DataFrame, times: int) -> DataFrame:
    """The rows of `frame`, `times` times."""
    return reduce(DataFrame.union, [frame] * times)


def seconds(frame: DataFrame) -> float:
    """Seconds of a no-op write."""
    began = time.perf_counter()
    frame.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1500, help="rows at 1×")
    parser.add_argument("--model", default="mobilenetv3_small_050", help="a timm model, with random weights")
    options = parser.parse_args()

    from brightspark.core.session import session
    from brightspark.vision import ImageClassifierModel, read_images

    described = machine.describe()
    print(machine.headline(described))
    spark = session()
    model = ImageClassifierModel.pretrained(str(images.model_folder(options.model)))
    frame = read_images(spark, str(images.image_folder(options.images)))
    seconds(model.transform(frame))
    rates: dict[int, dict[int, float]] = {times: {} for times in TIMES}
    for number in range(options.rounds):
        first = number % len(TIMES)
        for times in (*TIMES[first:], *TIMES[:first]):
            taken = seconds(model.transform(times_over(frame, times)))
            rates[times][number] = times * options.images / taken
    result = {"machine": described, "settings": vars(options), "images_per_second": rates}
    for times in TIMES:
        rate = spread(list(rates[times].values()))
        print(f"{times:>3}×: {times * options.images:>7,} images, {rate.median:.1f} images/s")
    for times in TIMES[1:]:
        compared = ratio(rates[times], rates[TIMES[0]])
        assert compared is not None
        print(f"{times}× to 1×: {compared}, goal {GOAL}: {'met' if compared.median >= GOAL else 'SHORT'}")
        result[f"{times}x to 1x"] = compared
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    spark.stop()


if __name__ == "__main__":
    main()
