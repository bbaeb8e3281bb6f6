"""Whisper's decoder, greedily: a recording that is written down leaves the batch. Knows torch, no Spark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from brightspark.speech.whisper import HIDDEN, Heard, attend, in_heads

Cache = list[tuple[torch.Tensor, torch.Tensor]]
"""Of each layer its keys and values."""


class Written(NamedTuple):
    """What was written of a recording."""

    tokens: list[int]
    """without those that begin and end a transcript"""
    chances: list[float]
    """the log-probability of each"""
    mean: float
    """of these and of the end"""
    silence: float
    """the probability that nothing is said at all"""
    cut: bool
    """whether the length ran out"""


class Decoder:
    """The decoder of a Whisper network. It chooses as `generate` does without beams; tested against it."""

    def __init__(self, network: Any, *, end: int, nobody: int | None) -> None:
        """`end` is the token that ends a transcript, `nobody` the one for recordings in which nobody speaks."""
        self.network = network.model.decoder
        self.heads: int = network.config.decoder_attention_heads
        self.positions: int = network.config.max_target_positions
        self.end, self.nobody = end, nobody

    def cross(self, heard: Heard) -> Cache:
        """The keys and values of what was heard, for each layer."""
        return [
            (
                in_heads(layer.encoder_attn.k_proj(heard.states), self.heads).contiguous(),
                in_heads(layer.encoder_attn.v_proj(heard.states), self.heads).contiguous(),
            )
            for layer in self.network.layers
        ]

    def first(self, heard: Heard, start: int) -> torch.Tensor:
        """The scores of the token after the one that starts a transcript: of languages, in which they are detected."""
        ids = torch.full((len(heard.states), 1), start, device=heard.states.device)
        return self._scores(self._step(ids, 0, self.cross(heard), heard.bias, self._empty(ids, 1)))[:, 0]

    def __call__(
        self,
        heard: Heard,
        cross: Cache,
        prompts: torch.Tensor,
        limits: Sequence[int],
        suppressed: torch.Tensor,
        suppressed_first: torch.Tensor,
    ) -> list[Written]:
        """Writes down each row, after its prompt (rows × tokens), in at most its limit of tokens.

        `suppressed` and `suppressed_first` are added to the scores of all tokens, of the first one the second.
        """
        tokens: list[list[int]] = [[] for _ in prompts]
        chances: list[list[float]] = [[] for _ in prompts]
        rows, bias, ids = list(range(len(prompts))), heard.bias, prompts
        begun, most = prompts.shape[1], min(self.positions - prompts.shape[1], max(limits))
        cache = self._empty(ids, begun + most)
        silence: list[float] = []
        length = 0
        for number in range(most):
            states = self._step(ids, length, cross, bias, cache)
            length += ids.shape[1]
            if number == 0:
                silence = self._silence(states[:, :1])
            scores = self._scores(states[:, -1]) + (suppressed if number else suppressed_first)
            best, new = scores.log_softmax(dim=-1).max(dim=-1)
            going = []
            for place, (row, token, chance) in enumerate(zip(rows, new.tolist(), best.tolist(), strict=True)):
                tokens[row].append(token)
                chances[row].append(chance)
                if token != self.end and number + 1 < limits[row]:
                    going.append(place)
            if not going:
                break
            ids = new[:, None]
            if len(going) < len(rows):
                left = torch.tensor(going, device=ids.device)
                rows, ids, bias = [rows[place] for place in going], ids[left], bias[left]
                cross = [(keys[left], values[left]) for keys, values in cross]
                cache = [(keys[left], values[left]) for keys, values in cache]
        return [self._written(*each) for each in zip(tokens, chances, silence, strict=True)]

    def attention(
        self, cross: Cache, heard: Heard, ids: torch.Tensor, heads: Sequence[tuple[int, int]]
    ) -> torch.Tensor:
        """The scores of what tokens (rows × tokens) attend to, by (layer, head): rows × heads × tokens × keys."""
        found: dict[int, torch.Tensor] = {}
        self._step(ids, 0, cross, heard.bias, self._empty(ids, ids.shape[1]), found=found)
        return torch.stack([found[layer][:, head] for layer, head in heads], dim=1)

    def _written(self, tokens: list[int], chances: list[float], silence: float) -> Written:
        cut = tokens[-1] != self.end
        kept = len(tokens) if cut else len(tokens) - 1
        return Written(tokens[:kept], chances[:kept], sum(chances) / len(chances), silence, cut)

    def _silence(self, states: torch.Tensor) -> list[float]:
        if self.nobody is None:
            return [0.0] * len(states)
        found: list[float] = self._scores(states[:, 0]).softmax(dim=-1)[:, self.nobody].tolist()
        return found

    def _scores(self, states: torch.Tensor) -> torch.Tensor:
        return F.linear(states, self.network.embed_tokens.weight).float()

    def _empty(self, ids: torch.Tensor, length: int) -> Cache:
        weight = self.network.embed_tokens.weight
        shape = (len(ids), self.heads, length, weight.shape[1] // self.heads)
        return [(weight.new_empty(shape), weight.new_empty(shape)) for _ in self.network.layers]

    def _step(
        self,
        ids: torch.Tensor,
        before: int,
        cross: Cache,
        bias: torch.Tensor,
        cache: Cache,
        found: dict[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """`WhisperDecoder.forward` on tokens that follow `before` others; in `found` the scores of its attention."""
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
                found[number] = (queries @ keys.transpose(2, 3)).float() / queries.shape[-1] ** 0.5
            states = states + attention.out_proj(attend(queries, keys, values, bias))
            states = states + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(states))))
        final: torch.Tensor = network.layer_norm(states)
        return final


def suppressing(vocabulary: int, tokens: Sequence[int], device: torch.device) -> torch.Tensor:
    """What is added to the scores of a vocabulary so that these tokens are never chosen."""
    scores = torch.zeros(vocabulary, device=device)
    scores[list(tokens)] = HIDDEN
    return scores
