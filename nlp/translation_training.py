"""Learning to translate: the task that the training loop runs. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from brightspark.core.checkpoint_network import load_config, load_tokenizer
from brightspark.core.task import Batch, Loss, Record, Sums, Task
from brightspark.nlp.languages import Direction, direct
from brightspark.nlp.lora import adapt, is_frozen, only_learned
from brightspark.nlp.lora_settings import LoraSettings
from brightspark.nlp.network import load_translator, with_dropout
from brightspark.nlp.tokens import Window, arrays, beginnings, checked, first_tokens, padded, positions, window_tokens
from brightspark.nlp.training import Logits

_UNSEEN = -100  # the place of a token that is not learned: behind the end of a shorter translation


@dataclass(frozen=True, kw_only=True)
class Facts(LoraSettings):
    """What the task of a training is made of; as JSON, the run's facts."""

    network: str
    """The folder of the network that training starts with."""
    source_language: str | None
    target_language: str | None
    training_tokens: int
    max_chars: int
    dropout: float | None
    label_smoothing: float
    group_by_length: bool


class Pair(NamedTuple):
    """A text as the tokenizer's arrays, and its translation's tokens."""

    source: Window
    target: np.ndarray[Any, Any]


def build(raw: Mapping[str, Any]) -> Task:
    """The task of a training, from its `Facts` as JSON.

    Raises SettingError for languages that the checkpoint does not know.
    """
    facts = Facts(**raw)
    folder = Path(facts.network)
    config = with_dropout(load_config(folder), facts.dropout)
    config.use_cache = False  # of the decoder, which sees a whole translation at once
    network = load_translator(folder, config).requires_grad_(facts.lora_rank is None)
    pairs = Pairs(folder, network.config, facts)
    start = pairs.direction.options.get("decoder_start_token_id", network.generation_config.decoder_start_token_id)
    module = Logits(network)
    if facts.lora_rank is not None:
        adapt(network, facts)
        only_learned(module)
    return Task(
        module=module,
        columns=("text", "target"),
        example=pairs,
        collate=Collate(pairs.tokenizer, start),
        loss=partial(loss, smoothing=facts.label_smoothing),
        measure=measure,
        metrics=metrics,
        length="length" if facts.group_by_length else None,
        frozen=is_frozen(module),
    )


class Pairs:
    """A staged record as its tokens, those of the text and those of its translation."""

    def __init__(self, folder: Path, config: Any, facts: Facts) -> None:
        self.tokenizer = load_tokenizer(folder)
        self.direction: Direction = direct(
            self.tokenizer, config.model_type, facts.source_language, facts.target_language
        )
        if facts.target_language is not None and hasattr(self.tokenizer, "tgt_lang"):
            self.tokenizer.tgt_lang = facts.target_language
        self.max_chars = facts.max_chars
        self.most = min(facts.training_tokens, window_tokens(self.tokenizer, config), positions(config))

    def __call__(self, record: Record, training: bool) -> Pair:
        """What a Task asks for as `example`.

        A text that is too long keeps the marks at its ends. A translation loses its end: it goes on there.
        """
        text, target = (checked(record[name], self.max_chars) for name in ("text", "target"))
        source = first_tokens(self.tokenizer, self.direction.prefix + text.strip(), self.most)
        return Pair(arrays(self.tokenizer, source), np.asarray(self._said(target.strip()), dtype=np.int64))

    def _said(self, target: str) -> list[int]:
        """The first tokens of a translation; what ends it is among them where it is not cut."""
        enough = self.most + self.tokenizer.num_special_tokens_to_add()
        for beginning in beginnings(self.tokenizer, target, enough):
            said: list[int] = self.tokenizer(text_target=beginning)["input_ids"]
            if len(said) >= enough:
                break
        return said[: self.most]


class Collate:
    """Pairs as a batch: what the network reads, and the tokens that it is to say."""

    def __init__(self, tokenizer: Any, start: int) -> None:
        self.tokenizer, self.start = tokenizer, start

    def __call__(self, examples: Sequence[Pair]) -> Batch:
        """What a Task asks for as `collate`: the decoder sees what it is to say one token later."""
        batch = padded(self.tokenizer, [pair.source for pair in examples])
        longest = max(len(pair.target) for pair in examples)
        truth = torch.full((len(examples), longest), _UNSEEN)
        seen = torch.full((len(examples), longest), int(self.tokenizer.pad_token_id))
        for row, pair in enumerate(examples):
            length, tokens = len(pair.target), torch.from_numpy(pair.target)
            truth[row, :length] = tokens
            seen[row, 0], seen[row, 1:length] = self.start, tokens[:-1]
        return {**batch, "decoder_input_ids": seen}, truth


def loss(module: torch.nn.Module, batch: Batch, *, smoothing: float) -> Loss:
    """Cross entropy of each token; of validation rows without smoothing."""
    inputs, truth = batch
    logits = module(inputs).float().flatten(0, 1)
    smoothed = smoothing if module.training else 0.0
    total = cross_entropy(logits, truth.flatten(), ignore_index=_UNSEEN, label_smoothing=smoothed, reduction="sum")
    return Loss(total, (truth != _UNSEEN).sum())


def measure(module: torch.nn.Module, batch: Batch) -> Sums:
    """Tokens told right, each given all before it, and tokens in all."""
    inputs, truth = batch
    said = truth != _UNSEEN
    right = (module(inputs).argmax(dim=2) == truth) & said
    return {"hits": float(right.sum()), "tokens": float(said.sum())}


def metrics(sums: Sums) -> Mapping[str, float]:
    """`accuracy`: the share of tokens that are told right."""
    return {"accuracy": sums["hits"] / sums["tokens"]}
