"""Weights of tokens as the engine needs them: a sequence classifier and integrated gradients. Knows no Spark.

Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", https://arxiv.org/abs/1703.01365
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from captum.attr import LayerIntegratedGradients  # type: ignore[import-untyped]

from brightspark.core.errors import InputError, did_you_mean
from brightspark.core.precision import gradients
from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.nlp.explain_settings import EXPLANATION, ExplainSettings
from brightspark.nlp.network import load_classifier, read_labels
from brightspark.nlp.tokens import Spans, Tokens, Window, padded, size

Row = np.ndarray[Any, Any]


class Piece(NamedTuple):
    """A window of a text, where its tokens lie in the text, and the label to explain."""

    window: Window
    spans: Spans
    wanted: int


class Weighed(NamedTuple):
    """A window's tokens and their weights, special tokens left out, and the network's output for the label."""

    spans: Spans
    weights: Row
    output: float
    tokens: int


def load(folder: Path, device: str, settings: ExplainSettings) -> Predictor:
    """The explainer over the classifier of a folder as transformers has it, with a tokenizer of `check_spans`."""
    network = load_classifier(folder).to(device)
    tokens = Tokens(folder, network.config, settings)
    names = read_labels(network.config)
    indices = {name: index for index, name in enumerate(names)}
    weigh = IntegratedGradients(network, tokens.tokenizer.pad_token_id, settings)
    list(tokens.windows_with_spans("once"))  # sets how the tokenizer cuts, before threads share it

    def split(record: Record, work: Work) -> Iterator[Piece]:
        label = record[settings.label_col]
        if label is None:
            raise InputError(f"there is no label to explain: {settings.label_col} is null")
        if label not in indices:
            raise InputError(f"the model has no label {label!r}; {did_you_mean(label, indices)}")
        cut = tokens.windows_with_spans(record[settings.text_col])
        for window, spans in islice(cut, 1 if settings.pooling == "first" else None):
            yield Piece(window, spans, indices[label])

    def prepare(pieces: Sequence[Piece]) -> tuple[dict[str, torch.Tensor], Sequence[Piece]]:
        return padded(tokens.tokenizer, [piece.window for piece in pieces], device), pieces

    def join(record: Record, parts: Sequence[Weighed]) -> Answer:
        return {"tokens": pooled(parts, settings.pooling), "explained": record[settings.label_col]}

    return Predictor(
        columns=(settings.text_col, settings.label_col),
        answer_type=EXPLANATION,
        split=split,
        prepare=prepare,
        predict=lambda batch: weigh(*batch),
        join=join,
        size=lambda piece: size(piece.window),
        batch_cost=settings.batch_size,
        module=network,
    )


class IntegratedGradients:
    """What each token adds to a classifier's output for a label, against the same text with padding for tokens.

    The special tokens stand in both. So the weights of a window add up to the difference of the two outputs, as far as
    `steps` points tell.
    """

    def __init__(self, network: Any, padding: int, settings: ExplainSettings) -> None:
        self.network, self.padding, self.settings = network, padding, settings

    def __call__(self, batch: dict[str, torch.Tensor], pieces: Sequence[Piece]) -> Sequence[Weighed]:
        """The weights of each piece; runs in float32, also under inference mode and autocast.

        Raises ArithmeticError where the network's output is not a number.
        """
        inputs, others = batch["input_ids"], {name: value for name, value in batch.items() if name != "input_ids"}
        wanted = torch.tensor([piece.wanted for piece in pieces], device=inputs.device)
        said = [np.array([end > start for start, end in piece.spans]) for piece in pieces]
        without = inputs.clone()
        for row, real in zip(without, said, strict=True):
            row[: len(real)][torch.from_numpy(real)] = self.padding

        def outputs(tokens: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(tokens, **dict(zip(others, more, strict=True))).logits
            return logits

        with gradients(inputs.device.type):
            explained = LayerIntegratedGradients(outputs, self.network.get_input_embeddings())
            found = explained.attribute(
                inputs,
                baselines=without,
                target=wanted,
                additional_forward_args=tuple(others.values()),
                n_steps=self.settings.steps,
                internal_batch_size=max(len(pieces), self.settings.batch_size // inputs.shape[1]),
            )
            weights = found.detach().sum(dim=2).cpu().numpy()
            with torch.no_grad():
                told = outputs(inputs, *others.values()).gather(1, wanted[:, None])[:, 0].tolist()
        if not (np.isfinite(weights).all() and np.isfinite(told).all()):
            raise ArithmeticError("the network's answer is not a number")
        return [
            Weighed([span for span, real in zip(piece.spans, kept, strict=True) if real], row[: len(kept)][kept], *more)
            for piece, kept, row, more in zip(
                pieces, said, weights, zip(told, map(len, said), strict=True), strict=True
            )
        ]


def pooled(parts: Sequence[Weighed], pooling: str) -> list[dict[str, Any]]:
    """A text's tokens in order, with the weights that they have in its pooled output."""
    if pooling == "max":
        parts = [max(parts, key=lambda part: part.output)]
    total = sum(part.tokens for part in parts)
    weights: dict[tuple[int, int], float] = {}
    for part in parts:
        for span, weight in zip(part.spans, part.weights.tolist(), strict=True):
            weights[span] = weights.get(span, 0.0) + weight * part.tokens / total
    return [{"start": start, "end": end, "weight": weight} for (start, end), weight in sorted(weights.items())]
