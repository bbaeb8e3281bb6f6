"""Heat maps of images as the engine needs them: a timm network, its own preprocessing, and Grad-CAM. Knows no Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.vision.explain_settings import EXPLANATION, ExplainSettings
from brightspark.vision.grad_cam import PREDICTED, GradCam
from brightspark.vision.heat_map import draw_heat
from brightspark.vision.labels import read_labels
from brightspark.vision.network import load_network
from brightspark.vision.predictor import fitted
from brightspark.vision.preprocessing import Preprocessing

Fitted = np.ndarray[Any, Any]
Batch = tuple[torch.Tensor, torch.Tensor, Sequence[Fitted]]


def load(folder: Path, device: str, settings: ExplainSettings) -> Predictor:
    """The explainer over a folder in timm's layout; its column is `path` (string) or `content` (binary)."""
    network = load_network(folder).to(device)
    names = read_labels(folder)
    grad_cam = GradCam(network)
    preprocessing = Preprocessing.of(network, device)

    def prepare(pieces: Sequence[tuple[Fitted, int]]) -> Batch:
        pictures = [picture for picture, _ in pieces]
        return preprocessing.batch(pictures), torch.tensor([wanted for _, wanted in pieces], device=device), pictures

    def predict(batch: Batch) -> Sequence[Answer]:
        pixels, wanted, pictures = batch
        classes, maps = grad_cam(pixels, wanted)
        return [
            {"heat_map": draw_heat(heat, picture if settings.overlay else None), "explained": names[index]}
            for index, heat, picture in zip(classes.tolist(), maps.cpu().numpy(), pictures, strict=True)
        ]

    return Predictor(
        columns=(settings.input_col or "path",),
        answer_type=EXPLANATION,
        split=_splitter(preprocessing, {name: index for index, name in enumerate(names)}, settings),
        prepare=prepare,
        predict=predict,
        batch_cost=settings.batch_size,
        module=network,
    )


def _splitter(
    preprocessing: Preprocessing, indices: Mapping[str, int], settings: ExplainSettings
) -> Callable[[Record, Work], Iterator[tuple[Fitted, int]]]:
    """A record is one picture, fitted to the network's size, and the index of the label to explain."""

    def split(record: Record, work: Work) -> Iterator[tuple[Fitted, int]]:
        wanted = PREDICTED if settings.label_col is None else _index(record[settings.label_col], indices)
        yield fitted(record, work, settings, preprocessing), wanted

    return split


def _index(label: str | None, indices: Mapping[str, int]) -> int:
    if label is None:
        raise InputError("there is no label to explain: the value is null")
    if label not in indices:
        raise InputError(f"the model has no label {label!r}; {did_you_mean(label, indices)}")
    return indices[label]
