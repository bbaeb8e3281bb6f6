"""Twenty real photographs and trained weights: right answers, in float32 and in the precision that is the default."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brightspark import samples
from brightspark.vision import ImageClassifierModel, evaluate, read_images
from tests.vision.networks import open_picture, plain_timm

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.samples, pytest.mark.slow]


@pytest.fixture(scope="module")
def weights() -> Path:
    return samples.model("efficientnet-lite0")


@pytest.fixture(scope="module")
def files() -> list[str]:
    return sorted(map(str, samples.photographs().rglob("*.jpg")))


def test_eighteen_of_twenty_are_right(spark: SparkSession, weights: Path, files: list[str]) -> None:
    model = ImageClassifierModel.pretrained(str(weights))
    scored = model.transform(read_images(spark, str(samples.photographs()))).persist()
    report = evaluate(scored, intervals=0)
    rows = scored.collect()
    scored.unpersist()
    assert sorted(row["path"] for row in rows) == files
    assert sum(row["prediction"] == row["label"] for row in rows) >= 18
    assert report.accuracy == pytest.approx(sum(row["prediction"] == row["label"] for row in rows) / 20)


def test_float32_is_plain_timm(weights: Path, files: list[str]) -> None:
    wanted = plain_timm(weights, [open_picture(file) for file in files])
    np.testing.assert_allclose(probabilities(weights, files, "float32"), wanted, atol=1e-4)


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_lower_precision_gives_the_same_labels(precision: str, weights: Path, files: list[str]) -> None:
    exact, quick = probabilities(weights, files, "float32"), probabilities(weights, files, precision)
    np.testing.assert_array_equal(quick.argmax(axis=1), exact.argmax(axis=1))
    np.testing.assert_allclose(quick, exact, atol=0.1)
    assert np.abs(quick - exact).mean(axis=1).max() < 1e-3


def probabilities(weights: Path, files: list[str], precision: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    model = ImageClassifierModel.pretrained(str(weights), precision=precision)
    (outcomes,) = model.scorer().score([[{"path": file} for file in files]])
    return np.array([outcome.answer["probability"] for outcome in outcomes])
