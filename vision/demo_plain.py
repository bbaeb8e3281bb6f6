"""What the demo compares itself with: the same pictures and the same split, without Spark and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

Features = np.ndarray[Any, np.dtype[np.float32]]


def colour_distance(paths: Sequence[str]) -> Features:
    """One number a pair, without any network: how far apart the mean colours of its two patches are."""
    return np.array([[_colour_distance(path)] for path in paths], dtype=np.float32)


def _colour_distance(path: str) -> float:
    pixels = np.asarray(_open(path), dtype=np.float32)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    first, second = pixels[:height, :width], pixels[:height, width:]
    return float(np.linalg.norm(first.mean(axis=(0, 1)) - second.mean(axis=(0, 1))))


def _open(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def logistic_regression(
    train: Features, labels: Sequence[str], test: Features, *, regularisation: float
) -> tuple[list[str], list[list[float]]]:
    """scikit-learn's names and probabilities for `test`, with Spark's objective: its mean loss, its standardisation."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    learner = LogisticRegression(C=1 / (regularisation * len(labels)), max_iter=1000)
    model = make_pipeline(StandardScaler(), learner).fit(train, labels)
    return list(model.predict(test)), model.predict_proba(test).tolist()
