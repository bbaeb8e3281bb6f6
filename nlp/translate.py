"""Translations as the engine needs them: a text in parts, a search for each, joined again. Knows no Spark."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch

from brightspark.core.checkpoint_network import load_tokenizer
from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.nlp.decode import Decoded, shrinking_beams
from brightspark.nlp.languages import Direction, direct
from brightspark.nlp.network import load_translator
from brightspark.nlp.sentences import parts
from brightspark.nlp.tokens import Window, arrays, checked, padded, positions, size, window_tokens
from brightspark.nlp.translation_settings import TranslationSettings

ANSWER = pa.struct([("translation", pa.string()), ("score", pa.float32()), ("cut", pa.bool_())])
LEAST_COST = 16  # tokens that a part counts for at least: each has a row of all the vocabulary's scores, however short
WINDOW_BATCHES = 32
EARLY: dict[str, bool | str] = {"false": False, "true": True, "never": "never"}


class Part(NamedTuple):
    """Some sentences as the tokenizer's arrays, and the white space that follows them."""

    window: Window
    gap: str


class Translated(NamedTuple):
    """A part's translation."""

    text: str
    score: float
    cut: bool
    tokens: int
    gap: str


def load(folder: Path, device: str, settings: TranslationSettings) -> Predictor:
    """The translator of a folder as transformers has it.

    Raises ArtifactError for another kind of network, SettingError for languages that it does not know.
    """
    network = load_translator(folder).to(device)
    tokenizer = load_tokenizer(folder)
    direction = direct(tokenizer, network.config.model_type, settings.source_language, settings.target_language)
    config = generation(network, settings, direction)
    most = min(settings.max_tokens, window_tokens(tokenizer, network.config))

    def encoded(text: str) -> Window:
        return arrays(tokenizer, tokenizer(direction.prefix + text))

    encoded("once")  # sets how the tokenizer works, before threads share it

    def split(record: Record, work: Work) -> Iterator[Part]:
        text = checked(record[settings.text_col], settings.max_chars).strip()
        whole = encoded(text)
        if size(whole) <= most:
            yield Part(whole, "")
            return
        for said, gap in parts(text, lambda part: size(encoded(part)), most):
            yield Part(encoded(said), gap)

    def prepare(pieces: Sequence[Part]) -> tuple[dict[str, torch.Tensor], Sequence[Part]]:
        return padded(tokenizer, [piece.window for piece in pieces], device), pieces

    def predict(batch: tuple[dict[str, torch.Tensor], Sequence[Part]]) -> Sequence[Translated]:
        inputs, pieces = batch
        found: Decoded = network.generate(**inputs, generation_config=config, custom_generate=shrinking_beams)
        texts = [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in found.tokens]
        return [
            Translated(text.strip(), score, cut, len(tokens), piece.gap)
            for text, score, cut, tokens, piece in zip(
                texts, found.scores, found.cut, found.tokens, pieces, strict=True
            )
        ]

    return Predictor(
        columns=(settings.text_col,),
        answer_type=ANSWER,
        split=split,
        prepare=prepare,
        predict=predict,
        join=joined,
        size=cost,
        batch_cost=settings.batch_size,
        window_batches=WINDOW_BATCHES,
        module=network,
    )


def joined(record: Record, answers: Sequence[Translated]) -> Answer:
    """A text's translation from those of its parts, with the white space that was between them."""
    text = "".join(part.text + part.gap for part in answers)  # behind the last one there is no gap
    tokens = sum(part.tokens for part in answers)
    score = sum(part.score * part.tokens for part in answers) / tokens
    return {"translation": text, "score": score, "cut": any(part.cut for part in answers)}


def cost(part: Part) -> int:
    """What a part costs the network, in tokens."""
    return max(LEAST_COST, size(part.window))


def generation(network: Any, settings: TranslationSettings, direction: Direction) -> Any:
    """The checkpoint's own GenerationConfig with what the settings say."""
    config = copy.deepcopy(network.generation_config)
    said = {
        "num_beams": settings.beams,
        "length_penalty": settings.length_penalty,
        "no_repeat_ngram_size": settings.no_repeat_ngram,
        "early_stopping": EARLY[settings.early_stopping],
        "max_length": None,
        "max_new_tokens": min(settings.max_new_tokens, positions(network.config) - 1),
        "do_sample": False,
        "num_return_sequences": 1,
        "use_cache": True,
        **direction.options,
    }
    for name, value in said.items():
        setattr(config, name, value)
    return config
