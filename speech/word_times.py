"""When each word of a transcript was said, by what Whisper's decoder listens to. Knows torch and torchaudio, no Spark.

Some heads of the decoder attend to the moment that a token is heard in (a checkpoint's `alignment_heads`). As in
OpenAI's own `whisper/timing.py`, their attention is scaled over the tokens, smoothed and averaged, and a monotonic path
is laid through it; here the path is torchaudio's `forced_align`, which needs no loop in Python. Such a path gives every
moment to some token, pauses too: so a word is cut to what can be heard of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torchaudio.functional import forced_align

from brightspark.speech.log_mel import FRAMES_PER_SECOND, Spectrogram

SECONDS = 0.02  # of a position
SMOOTHED = 7  # positions that a median is taken over
QUIET = 0.875  # of the spectrogram's scale: what is quieter than the loudest by 35 dB is no part of a word

# Languages that are written without spaces: Whisper cuts them into characters; transformers knows them by these names.
SPACELESS = {
    "zh": "chinese", "ja": "japanese", "th": "thai", "lo": "lao", "my": "myanmar", "yue": "cantonese",
}  # fmt: skip

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
    tokenizer: Any,
    tokens: Sequence[int],
    chances: Sequence[float],
    times: Sequence[float],
    *,
    language: str,
    start: float,
    sound: Spectrogram,
) -> list[Word]:
    """The words of a segment that begins at `start`, punctuation with the word that it belongs to.

    `times` are the tokens' boundaries. Languages without spaces are cut into characters, as Whisper does.
    """
    from transformers.models.whisper.tokenization_whisper import _combine_tokens_into_words

    texts, _, places = _combine_tokens_into_words(tokenizer, list(tokens), SPACELESS.get(language, language))
    words: list[tuple[str, list[int]]] = []
    for text, numbers in zip(texts, places, strict=True):
        if words and not text.startswith(" ") and language not in SPACELESS:  # as the -2 of 1-2-3
            words[-1] = (words[-1][0] + text, [*words[-1][1], *numbers])
        else:
            words.append((text, list(numbers)))
    loud = (sound.frames.amax(dim=0) > float(sound.frames.max()) - QUIET).numpy()
    found = []
    for text, numbers in words:
        if text.strip():
            first, last = _heard(loud, times[numbers[0]], times[numbers[-1] + 1])
            mean = sum(chances[number] for number in numbers) / len(numbers)
            found.append({
                "word": text.strip(),
                "start": round(start + first, 3),
                "end": round(start + last, 3),
                "confidence": math.exp(mean),
            })  # fmt: skip
    return found


def _heard(loud: NDArray[np.bool_], start: float, end: float) -> tuple[float, float]:
    """What can be heard of a stretch of time: its quiet beginning and end are left away, unless all of it is quiet."""
    first, last = round(start * FRAMES_PER_SECOND), round(end * FRAMES_PER_SECOND)
    places = np.flatnonzero(loud[first:last])
    if not len(places):
        return start, end
    return max(start, (first + places[0]) / FRAMES_PER_SECOND), min(end, (first + places[-1] + 1) / FRAMES_PER_SECOND)
