"""Texts as tokens: a checkpoint's own tokenizer, windows of long texts, batches of like length. Knows no Spark."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brightspark.core.checkpoint_network import load_tokenizer
from brightspark.core.errors import ArtifactError, InputError
from brightspark.nlp.settings import WindowSettings

# Workers are processes, one a core: threads of the tokenizer would fight over it, and warn of forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

MOST_TOKENS = 512  # of a window, unless the settings say how many
ENDLESS = 1 << 20  # tokens, where nothing says how many a network takes
CHARS_A_TOKEN = 8  # of a text's beginning that is tried first: twice as many as a token has in most languages
# Nothing that a tokenizer does reaches over a space between two letters: there words end, whatever its kind. Over other
# white space and around signs some do (Llama's "!\n" is one token, Moses joins "5 %", BERT drops vertical tabs).
_BETWEEN_WORDS = re.compile(r"(?<=[^\W\d_]) +(?=[^\W\d_])")
# These count positions from behind the padding's number, so that many of them are never used.
_AFTER_PADDING = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "longformer",
    "mpnet",
    "data2vec-text",
    "xmod",
)

Window = Mapping[str, np.ndarray[Any, Any]]
Spans = Sequence[tuple[int, int]]  # the characters of each token, from and to before; of special tokens none


class Tokens:
    """A checkpoint's tokenizer, and how its network takes tokens."""

    def __init__(self, folder: Path, config: Any, settings: WindowSettings) -> None:
        self.tokenizer = load_tokenizer(folder)
        self.settings = settings
        self.max_tokens = min(window_tokens(self.tokenizer, config), settings.max_tokens or MOST_TOKENS)
        special: int = self.tokenizer.num_special_tokens_to_add()
        self.overlap = min(settings.overlap, (self.max_tokens - special) // 2)

    def windows(self, text: Any) -> Iterator[Window]:
        """The windows of a text, each with the tokenizer's arrays.

        Raises InputError for what is no text, is empty, or longer than `max_chars`.
        """
        cut = self._cut(text)
        for number in range(len(cut["input_ids"])):
            yield arrays(self.tokenizer, {name: rows[number] for name, rows in cut.items()})

    def windows_with_spans(self, text: Any) -> Iterator[tuple[Window, Spans]]:
        """The same, and where the tokens of each lie in the text; `check_spans` says whether the tokenizer can tell.

        Raises as `windows` does.
        """
        cut = self._cut(text, return_offsets_mapping=True)
        for number, spans in enumerate(cut["offset_mapping"]):
            window = arrays(self.tokenizer, {name: rows[number] for name, rows in cut.items()})
            yield window, [(int(start), int(end)) for start, end in spans]

    def _cut(self, text: Any, **more: Any) -> Any:
        return self.tokenizer(
            checked(text, self.settings.max_chars),
            truncation=True,
            max_length=self.max_tokens,
            stride=self.overlap,
            return_overflowing_tokens=True,
            **more,
        )

    def first(self, text: Any) -> Window:
        """The first window of a text, of which no more is read than that takes; raises as `windows` does."""
        text = checked(text, self.settings.max_chars)
        return arrays(self.tokenizer, first_tokens(self.tokenizer, text, self.max_tokens))

    def pairs(self, text: Any, seconds: Sequence[str]) -> Iterator[Window]:
        """A text with each of some others behind it; it is cut where the window is full, they are not.

        Raises as `windows` does.
        """
        text = checked(text, self.settings.max_chars)
        for second in seconds:
            yield arrays(
                self.tokenizer, self.tokenizer(text, second, truncation="only_first", max_length=self.max_tokens)
            )


def check_spans(tokenizer: Any) -> None:
    """Raises ArtifactError for a tokenizer that does not say where its tokens lie in a text."""
    _check_fast(tokenizer, "does not say where its tokens lie in a text, which explanations need")


def check_cuts(tokenizer: Any) -> None:
    """Raises ArtifactError for a tokenizer that does not cut a long text into windows."""
    _check_fast(tokenizer, "does not cut a long text into windows")


def _check_fast(tokenizer: Any, lacks: str) -> None:
    if not tokenizer.is_fast:
        raise ArtifactError(
            f"{type(tokenizer).__name__} {lacks}: save the checkpoint with its fast tokenizer (tokenizer.json)"
        )


def first_tokens(tokenizer: Any, text: str, most: int) -> Any:
    """What a tokenizer says of a text cut to `most` tokens, the special ones included."""
    for beginning in beginnings(tokenizer, text, most):
        encoded = tokenizer(beginning, truncation=True, max_length=most)
        if len(encoded["input_ids"]) == most:
            break
    return encoded


def beginnings(tokenizer: Any, text: str, tokens: int) -> Iterator[str]:
    """Ever longer beginnings of a text, the last of them all of it; the first mostly has so many tokens already.

    The tokens of each are those that the whole text begins with, since it ends between two words. Where no letters have
    spaces between them, or a token that was added by hand has one in it, there is only the whole.
    """
    chars = CHARS_A_TOKEN * tokens
    while chars < len(text) and not any(" " in added for added in tokenizer.get_added_vocab()):
        end = _BETWEEN_WORDS.search(text, chars)
        if end is None:
            break
        yield text[: end.start()]
        chars = 2 * end.start()
    yield text


def arrays(tokenizer: Any, encoded: Mapping[str, Any]) -> Window:
    """What a tokenizer says of one text, as far as its network wants it."""
    names = [name for name in tokenizer.model_input_names if name in encoded]
    return {name: np.asarray(encoded[name], dtype=np.int32) for name in names}


def padded(tokenizer: Any, windows: Sequence[Window], device: str = "cpu") -> dict[str, torch.Tensor]:
    """Windows as tensors of rows × tokens, filled up on the right to the longest."""
    longest = max(map(size, windows))
    fill = {"input_ids": tokenizer.pad_token_id, "token_type_ids": getattr(tokenizer, "pad_token_type_id", 0)}
    batch = {}
    for name in windows[0]:
        rows = np.full((len(windows), longest), fill.get(name, 0), dtype=np.int64)
        for row, window in zip(rows, windows, strict=True):
            row[: len(window[name])] = window[name]
        batch[name] = torch.from_numpy(rows).to(device, non_blocking=True)
    return batch


def size(window: Window) -> int:
    """How many tokens a window has."""
    return len(window["input_ids"])


def checked(text: Any, max_chars: int) -> str:
    """A text that a tokenizer takes: what no encoding has (a lone surrogate) becomes U+FFFD.

    Raises InputError for what is no text, is empty, or longer than `max_chars`.
    """
    if text is None:
        raise InputError("the text is null")
    if not isinstance(text, str):
        raise InputError(f"this is no text, but {type(text).__name__}")
    if len(text) > max_chars:
        raise InputError(f"the text has {len(text):,} characters, more than the {max_chars:,} of max_chars")
    if not text.strip():
        raise InputError("the text is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def window_tokens(tokenizer: Any, config: Any) -> int:
    """The most tokens that a network takes at once, the special ones included."""
    said = int(min(tokenizer.model_max_length, ENDLESS))  # transformers' word for "not said" is 1e30
    return min(said, positions(config))


def positions(config: Any) -> int:
    """How many places for tokens a network has; ENDLESS for those that count distances, as T5 does."""
    known = getattr(config, "max_position_embeddings", None)
    if not known:
        return ENDLESS
    return int(known) - (config.pad_token_id + 1 if config.model_type in _AFTER_PADDING else 0)
