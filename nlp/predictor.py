"""Labels and vectors of texts as the engine needs them: a checkpoint's tokenizer and network. Knows no Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from brightspark.core.classifier_settings import answer_type, classified, to_probabilities
from brightspark.core.featurizer_settings import FEATURES
from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.nlp.network import load_classifier, load_encoder, read_labels
from brightspark.nlp.settings import EmbedderSettings, ModelSettings, TextSettings
from brightspark.nlp.tokens import Tokens, Window, padded, size

# Tokens are small: many of them may wait, and the more do, the less of a batch is padding (3 % instead of 11).
WINDOW_BATCHES = 64

Row = np.ndarray[Any, Any]


class Part(NamedTuple):
    """What the network says of one window."""

    outputs: Row
    tokens: int


def load(folder: Path, device: str, settings: TextSettings) -> Predictor:
    """The classifier of a folder as transformers has it."""
    network = load_classifier(folder).to(device)
    tokens = Tokens(folder, network.config, settings)
    names = read_labels(network.config)

    def answer(parts: Sequence[Part]) -> Answer:
        (row,) = to_probabilities(torch.from_numpy(pooled(parts, settings.pooling))[None], settings)
        return classified(row, names, settings)

    def outputs(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits: torch.Tensor = network(**batch).logits
        return logits

    def windows(text: Any) -> Iterator[Window]:
        return iter([tokens.first(text)]) if settings.pooling == "first" else tokens.windows(text)

    return text_predictor(network, tokens, windows, device, settings, answer_type(settings), outputs, answer)


def load_vectors(folder: Path, device: str, settings: EmbedderSettings) -> Predictor:
    """The encoder of a folder, with mean pooling over the tokens (Reimers and Gurevych 2019, arXiv:1908.10084)."""
    network = load_encoder(folder).to(device)
    tokens = Tokens(folder, network.config, settings)

    def answer(parts: Sequence[Part]) -> Answer:
        vector = pooled(parts, "mean")
        length = float(np.linalg.norm(vector))
        if not 0 < length < np.inf:
            raise ArithmeticError("the network's vector is not a finite number")
        return {"features": vector / length if settings.normalize else vector}

    def outputs(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        states = network(**batch).last_hidden_state.float()
        mask = batch["attention_mask"][:, :, None]
        mean: torch.Tensor = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return mean

    return text_predictor(network, tokens, tokens.windows, device, settings, FEATURES, outputs, answer)


def pooled(parts: Sequence[Part], pooling: str) -> Row:
    """What the network says of all windows of a text together."""
    if len(parts) == 1 or pooling == "first":
        return parts[0].outputs
    rows = np.stack([part.outputs for part in parts])
    if pooling == "max":
        return np.asarray(rows.max(axis=0))
    return np.asarray(np.average(rows, axis=0, weights=[part.tokens for part in parts]).astype(np.float32))


def text_predictor(
    network: Any,
    tokens: Tokens,
    windows: Callable[[Any], Iterator[Window]],
    device: str,
    settings: ModelSettings,
    answers: pa.StructType,
    outputs: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    answer: Callable[[Sequence[Part]], Answer],
) -> Predictor:
    """What every encoder over texts shares: a record is the windows that `windows` makes of its text."""
    if network.config.pad_token_id is None:  # what a decoder finds the last token by
        network.config.pad_token_id = tokens.tokenizer.pad_token_id

    list(windows("once"))  # sets how the tokenizer cuts, before threads share it

    def split(record: Record, work: Work) -> Iterator[Window]:
        return windows(record[settings.text_col])

    def prepare(pieces: Sequence[Window]) -> dict[str, torch.Tensor]:
        return padded(tokens.tokenizer, pieces, device)

    def predict(batch: dict[str, torch.Tensor]) -> Sequence[Part]:
        rows = outputs(batch).float().cpu().numpy()
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        return [Part(row, length) for row, length in zip(rows, lengths, strict=True)]

    return Predictor(
        columns=(settings.text_col,),
        answer_type=answers,
        split=split,
        prepare=prepare,
        predict=predict,
        join=lambda record, parts: answer(parts),
        size=size,
        batch_cost=settings.batch_size,
        window_batches=WINDOW_BATCHES,
        module=network,
    )
