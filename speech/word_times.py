"""When each word of a transcript was said, by what Whisper's decoder listens to. Knows torch and torchaudio, no Spark.

Some heads of the decoder attend to the moment that a token is heard in (a checkpoint's `alignment_heads`). As in
OpenAI's own `whisper/timing.py`, their attention is scaled over the tokens, smoothed and averaged, and a monotonic path
is laid through it; here the path is torchaudio's `forced_align`, which needs no loop in Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F
from torchaudio.functional import forced_align

SECONDS = 0.02  # of a position
SMOOTHED = 7  # positions that a median is taken over

Word = dict[str, Any]


def boundaries(scores: torch.Tensor, positions: int) -> list[float]:
    """The seconds at which each token begins, and the last one ends.

    `scores` are heads × tokens × keys, before softmax; of the keys the first `positions` are the recording's. The last
    token is the one that ends the transcript. There is none where tokens outnumber the positions.
    """
    tokens = scores.shape[1]
    if tokens > positions:
        return [0.0] * tokens + [positions * SECONDS]
    weights = scores[:, :, :positions].softmax(dim=-1)
    deviation, mean = torch.std_mean(weights, dim=1, keepdim=True, correction=0)
    weights = (weights - mean) / deviation.clamp(min=1e-6)
    smooth = _median(weights).mean(dim=0)
    # Each position is one token's, in their order: what a CTC path without blanks is.
    chances = torch.cat([torch.full((1, positions), -1e4), smooth]).T[None].contiguous()
    path, _ = forced_align(chances, torch.arange(1, tokens + 1, dtype=torch.int32)[None], blank=0)
    starts = torch.searchsorted(path[0].contiguous(), torch.arange(1, tokens + 1, dtype=path.dtype))
    return [*(starts.double() * SECONDS).tolist(), positions * SECONDS]


def _median(weights: torch.Tensor) -> torch.Tensor:
    half = SMOOTHED // 2
    if weights.shape[-1] <= half:
        return weights
    return F.pad(weights, (half, half), mode="reflect").unfold(-1, SMOOTHED, 1).median(dim=-1).values


def words_of(
    tokenizer: Any, tokens: Sequence[int], chances: Sequence[float], times: Sequence[float], language: str, start: float
) -> list[Word]:
    """The words of a segment that begins at `start`, punctuation with the word that it belongs to.

    `times` are the tokens' boundaries. Languages without spaces are cut into characters, as Whisper does.
    """
    from transformers.models.whisper.tokenization_whisper import _combine_tokens_into_words

    texts, _, places = _combine_tokens_into_words(tokenizer, list(tokens), LANGUAGES.get(language, language))
    found = []
    for text, numbers in zip(texts, places, strict=True):
        if text.strip():
            mean = sum(chances[number] for number in numbers) / len(numbers)
            found.append({
                "word": text.strip(),
                "start": round(start + times[numbers[0]], 3),
                "end": round(start + times[numbers[-1] + 1], 3),
                "confidence": math.exp(mean),
            })  # fmt: skip
    return found


# The languages that transformers cuts into characters, by the names that it knows them by.
LANGUAGES = {
    "zh": "chinese", "ja": "japanese", "th": "thai", "lo": "lao", "my": "myanmar", "yue": "cantonese",
}  # fmt: skip
