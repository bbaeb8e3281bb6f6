"""Whisper's decoder, greedily: recordings that are written down leave the batch. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from brightspark.speech.whisper import HIDDEN, Heard, attend, in_heads

Cache = list[tuple[torch.Tensor, torch.Tensor]]
"""Of each layer its keys and values."""

STAYING = 0.75  # the batch is cut when no more than this share goes on: each time the caches are copied


class Written(NamedTuple):
    """What was written of a recording."""

    tokens: list[int]
    """without those that begin and end a transcript"""
    chances: list[float]
    """the log-probability of each"""
    mean: float
    """of these and of the end"""
    silence: float
    """the probability that nobody speaks"""
    cut: bool
    """whether the length ran out"""


class Decoder:
    """The decoder of a Whisper network. It chooses as `generate` does without beams; tested against it."""

    def __init__(self, network: Any, *, end: int, nobody: int) -> None:
        """`end` is the token that ends a transcript, `nobody` the one for recordings in which nobody speaks."""
        self.network, self.vocabulary = network.model.decoder, network.proj_out.weight
        self.heads: int = network.config.decoder_attention_heads
        self.positions: int = network.config.max_target_positions
        self.end, self.nobody = end, nobody

    def cross(self, heard: Heard) -> Cache:
        """The keys and values of what was heard, for each layer."""
        projections = [(layer.encoder_attn.k_proj, layer.encoder_attn.v_proj) for layer in self.network.layers]
        return [
            (
                in_heads(keys(heard.states), self.heads).contiguous(),
                in_heads(values(heard.states), self.heads).contiguous(),
            )
            for keys, values in projections
        ]

    def first(self, cross: Cache, bias: torch.Tensor | None, start: int) -> torch.Tensor:
        """The scores of the token after the one that starts a transcript: of languages, in which they are detected."""
        ids = torch.full((len(cross[0][0]), 1), start, device=self.vocabulary.device)
        return self._scores(self._step(ids, 0, cross, bias, self._empty(ids, 1)))[:, 0]

    def __call__(
        self,
        cross: Cache,
        bias: torch.Tensor | None,
        prompts: torch.Tensor,
        limits: Sequence[int],
        suppressed: torch.Tensor,
        suppressed_first: torch.Tensor,
    ) -> list[Written]:
        """Writes down each row, after its prompt (rows × tokens), in at most its limit of tokens.

        `suppressed` and `suppressed_first` are added to the scores of all tokens, of the first one the second.
        Raises ArithmeticError for scores that are no numbers.
        """
        tokens: list[list[int]] = [[] for _ in prompts]
        chances: list[list[float]] = [[] for _ in prompts]
        rows, ids = list(range(len(prompts))), prompts
        going = set(rows)
        begun = prompts.shape[1]
        most = min(self.most_tokens(begun), max(limits))
        cache = self._empty(ids, begun + most)
        silence: list[float] = []
        length = 0
        for number in range(most):
            states = self._step(ids, length, cross, bias, cache)
            length += ids.shape[1]
            if number == 0:
                silence = self._scores(states[:, 0]).softmax(dim=-1)[:, self.nobody].tolist()
            scores = self._scores(states[:, -1]) + (suppressed if number else suppressed_first)
            best, new = scores.log_softmax(dim=-1).max(dim=-1)
            for row, (chance, token) in zip(
                rows, torch.stack([best.double(), new.double()], dim=1).tolist(), strict=True
            ):
                if row in going:
                    if chance != chance:
                        raise ArithmeticError("the network's scores are not numbers")
                    tokens[row].append(int(token))
                    chances[row].append(chance)
                    if int(token) == self.end or number + 1 >= limits[row]:
                        going.discard(row)
            if not going:
                break
            ids = new[:, None]
            if len(going) <= STAYING * len(rows):
                left = torch.tensor([place for place, row in enumerate(rows) if row in going], device=ids.device)
                rows, ids = [row for row in rows if row in going], ids[left]
                bias = None if bias is None else bias[left]
                cross = [(keys[left], values[left]) for keys, values in cross]
                cache = [(keys[left], values[left]) for keys, values in cache]
        return [self._written(*each) for each in zip(tokens, chances, silence, strict=True)]

    def most_tokens(self, begun: int) -> int:
        """How many tokens fit behind a prompt of so many, and before the one that ends a transcript."""
        return self.positions - begun - 1

    def attention(
        self, cross: Cache, bias: torch.Tensor | None, ids: torch.Tensor, heads: Sequence[tuple[int, int]]
    ) -> torch.Tensor:
        """What tokens (rows × tokens) attend to, by (layer, head): scores, rows × heads × tokens × keys."""
        found: dict[tuple[int, int], torch.Tensor] = dict.fromkeys(heads, torch.empty(0))
        self._step(ids, 0, cross, bias, self._empty(ids, ids.shape[1]), found=found)
        return torch.stack(list(found.values()), dim=1)

    def _written(self, tokens: list[int], chances: list[float], silence: float) -> Written:
        cut = tokens[-1] != self.end
        kept = len(tokens) if cut else len(tokens) - 1
        return Written(tokens[:kept], chances[:kept], sum(chances) / len(chances), silence, cut)

    def _scores(self, states: torch.Tensor) -> torch.Tensor:
        return F.linear(states, self.vocabulary).float()

    def _empty(self, ids: torch.Tensor, length: int) -> Cache:
        shape = (len(ids), self.heads, length, self.vocabulary.shape[1] // self.heads)
        return [(self.vocabulary.new_empty(shape), self.vocabulary.new_empty(shape)) for _ in self.network.layers]

    def _step(
        self,
        ids: torch.Tensor,
        before: int,
        cross: Cache,
        bias: torch.Tensor | None,
        cache: Cache,
        found: dict[tuple[int, int], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """`WhisperDecoder.forward` on tokens that follow `before` others; fills `found` with its heads' scores."""
        network, length = self.network, before + ids.shape[1]
        states = network.embed_tokens(ids) + network.embed_positions.weight[before:length]
        for number, (layer, (keys, values), (own_keys, own_values)) in enumerate(
            zip(network.layers, cross, cache, strict=True)
        ):
            attention, inner = layer.self_attn, layer.self_attn_layer_norm(states)
            own_keys[:, :, before:length] = in_heads(attention.k_proj(inner), self.heads)
            own_values[:, :, before:length] = in_heads(attention.v_proj(inner), self.heads)
            queries = in_heads(attention.q_proj(inner), self.heads)
            seen = attend(queries, own_keys[:, :, :length], own_values[:, :, :length], None, causal=before == 0)
            states = states + attention.out_proj(seen)
            attention = layer.encoder_attn
            queries = in_heads(attention.q_proj(layer.encoder_attn_layer_norm(states)), self.heads)
            if found is not None:
                for head in [head for place, head in found if place == number]:
                    scores = queries[:, head] @ keys[:, head].transpose(1, 2)
                    found[number, head] = scores.float() / queries.shape[-1] ** 0.5
            states = states + attention.out_proj(attend(queries, keys, values, bias))
            states = states + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(states))))
        final: torch.Tensor = network.layer_norm(states)
        return final


def suppressing(vocabulary: int, tokens: Sequence[int], device: torch.device) -> torch.Tensor:
    """What is added to the scores of a vocabulary so that these tokens are never chosen."""
    scores = torch.zeros(vocabulary, device=device)
    scores[[token for token in tokens if 0 <= token < vocabulary]] = HIDDEN
    return scores
