"""Classes and features of images as the engine needs them: a timm network and its own preprocessing. Knows no Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.vision import labels
from brightspark.vision.network import load_network, pooled_features
from brightspark.vision.preprocessing import Preprocessing
from brightspark.vision.settings import FEATURES, FeaturizerSettings, ImageSettings, PictureSettings, answer_type
from brightspark.vision.sources import open_picture


def load(folder: Path, device: str, settings: ImageSettings) -> Predictor:
    """The classifier over a folder in timm's layout; its column is `path` (string) or `content` (binary)."""
    network = load_network(folder).to(device)
    names = labels.read_labels(folder)

    def predict(batch: torch.Tensor) -> Sequence[Answer]:
        logits = network(batch).float() / settings.temperature
        probabilities = (logits.sigmoid() if settings.multi_label else logits.softmax(dim=1)).cpu().numpy()
        if np.isnan(probabilities).any():
            raise ArithmeticError("the network's answer is not a number")
        return [_answer(row, names, settings) for row in probabilities]

    return _predictor(network, device, settings, answer_type(settings), predict)


def load_features(folder: Path, device: str, settings: FeaturizerSettings) -> Predictor:
    """The featurizer over a folder in timm's layout, with a classifier or without."""
    network = load_network(folder).to(device)

    def predict(batch: torch.Tensor) -> Sequence[Answer]:
        features = pooled_features(network, batch).float().cpu().numpy()
        if not np.isfinite(features).all():
            raise ArithmeticError("the network's features are not finite numbers")
        return [{"features": row} for row in features]

    return _predictor(network, device, settings, FEATURES, predict)


def _predictor(
    network: torch.nn.Module,
    device: str,
    settings: PictureSettings,
    answers: pa.StructType,
    predict: Callable[[torch.Tensor], Sequence[Answer]],
) -> Predictor:
    """What every network over images shares: a record is one picture, fitted to the network's size."""
    prepare = Preprocessing.of(network, device)

    def split(record: Record, work: Work) -> Iterator[Any]:
        yield fitted(record, work, settings, prepare)

    return Predictor(
        columns=(settings.input_col or "path",),
        answer_type=answers,
        split=split,
        prepare=prepare.batch,
        predict=predict,
        batch_cost=settings.batch_size,
        module=network,
    )


def fitted(record: Record, work: Work, settings: PictureSettings, prepare: Preprocessing) -> np.ndarray[Any, Any]:
    """A record's picture in the network's size.

    The room that decoding takes is given back by then: whoever takes a piece may keep its `split` waiting.
    """
    with (
        open_picture(record, work, settings) as picture,
        work.room(prepare.decoded_bytes(picture, settings.max_pixels)),
    ):
        return prepare.fit(picture.decode(prepare.mode))


def _answer(probabilities: np.ndarray[Any, Any], names: Sequence[str], settings: ImageSettings) -> dict[str, Any]:
    answer = {"probability": probabilities, **_prediction(probabilities, names, settings)}
    if settings.top_k:
        likeliest = np.argsort(-probabilities, kind="stable")[: settings.top_k]
        answer["top"] = [{"label": names[index], "probability": float(probabilities[index])} for index in likeliest]
    return answer


def _prediction(probabilities: np.ndarray[Any, Any], names: Sequence[str], settings: ImageSettings) -> dict[str, Any]:
    if settings.multi_label:
        return {"prediction": [names[index] for index in np.flatnonzero(probabilities >= settings.threshold).tolist()]}
    best = int(probabilities.argmax())
    if probabilities[best] < settings.min_confidence:
        return {"prediction": None}
    return {"prediction": names[best], "prediction_index": best}
