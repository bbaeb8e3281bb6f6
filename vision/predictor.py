"""Classes and features of images as the engine needs them: a timm network and its own preprocessing. Knows no Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from brightspark.core.classifier_settings import answer_type, classified, to_probabilities
from brightspark.core.featurizer_settings import FEATURES
from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.vision import labels
from brightspark.vision.network import load_network, pooled_features
from brightspark.vision.preprocessing import Preprocessing
from brightspark.vision.settings import FeaturizerSettings, ImageSettings, PictureSettings
from brightspark.vision.sources import open_picture


def load(folder: Path, device: str, settings: ImageSettings) -> Predictor:
    """The classifier over a folder in timm's layout; its column is `path` (string) or `content` (binary)."""
    network = load_network(folder).to(device)
    names = labels.read_labels(folder)

    def predict(batch: torch.Tensor) -> Sequence[Answer]:
        return [classified(row, names, settings) for row in to_probabilities(network(batch), settings)]

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
