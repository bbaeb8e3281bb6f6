"""Whisper's encoder without the silence that it is padded with. Knows torch and transformers, no Spark.

Whisper hears 30 s at a time, and a shorter recording is filled up with silence: of four seconds of speech it works out
seven times as much silence. Leaving it away does not do: the network was never trained on less, and talks on without
end. But what becomes of silence hardly depends on the speech before it. So the keys and values of a window of silence
are worked out once for each layer, and every recording attends to those behind its own end. Of them one in 16 is kept,
which counts for all of its neighbours (the logarithm of their number is added to its scores).

A recording's answer does not depend on the others in its batch: each attends to its own frames, and to silence from
its own end on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch.nn import functional as F

from brightspark.core.checkpoint_network import complete_network
from brightspark.core.errors import ArtifactError
from brightspark.speech.log_mel import Spectrogram, padded

STRIDE = 2  # frames of the spectrogram in a position of the encoder: 20 ms
MARGIN = 25  # positions of true silence that follow a recording: 0.5 s
KEPT = 16  # positions of silence for which one stands
LEVELS = 20  # silence is worked out for loudnesses 0.05 apart, of the spectrogram's scale: 2 dB

HIDDEN = -1e9  # a score that leaves nothing of a key


def load_network(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The Whisper network of a folder, frozen; weights that have that type in their file stay mapped from it.

    Raises ArtifactError where the folder holds another kind of network, or weights that do not fit.
    """
    network = complete_network(transformers.AutoModelForSpeechSeq2Seq, folder, "a Whisper network", dtype=dtype)
    kind = network.config.model_type
    if kind != "whisper":
        raise ArtifactError(f"{folder} is a {kind}; of networks that write texts, Whisper's are known")
    return network


class Sounds(NamedTuple):
    """Spectrograms as a batch."""

    frames: torch.Tensor
    """rows × bands × frames"""
    lengths: torch.Tensor
    """positions of each row that are its own, behind which there is silence"""
    silence: Sequence[float] | None
    """how loud that is in each row; None where all of the window is worked out"""


class Heard(NamedTuple):
    """What the decoder attends to."""

    states: torch.Tensor
    """rows × keys × width"""
    bias: torch.Tensor | None
    """rows × 1 × 1 × keys, which is added to the scores"""


class _Silence(NamedTuple):
    """What a window of silence becomes, at one position in KEPT."""

    keys: list[torch.Tensor]
    """of each layer: heads × positions × width of a head"""
    values: list[torch.Tensor]
    states: torch.Tensor
    """positions × width"""


class Encoder:
    """The encoder of a Whisper network, and the silence that it knows by now."""

    def __init__(self, network: Any) -> None:
        self.network = network.model.encoder
        self.positions: int = network.config.max_source_positions
        self.bands: int = network.config.num_mel_bins
        self.heads: int = network.config.encoder_attention_heads
        self._silence: dict[int, _Silence] = {}

    def collate(self, spectrograms: Sequence[Spectrogram], *, whole: bool = False) -> Sounds:
        """Recordings of at most a window as a batch, on the device; `whole` fills each one up with silence."""
        weight = self.network.conv1.weight
        own = [self.positions if whole else self.length(one) for one in spectrograms]
        # One position more, for what the convolutions hear of it: behind the frames they would hear zeros.
        longest = min(max(own) + 1, self.positions)
        frames = padded(spectrograms, longest * STRIDE).to(weight.device, weight.dtype)
        silence = None if whole else [one.silence for one in spectrograms]
        return Sounds(frames, torch.tensor(own, device=weight.device), silence)

    def length(self, one: Spectrogram) -> int:
        """The positions that a recording has of its own."""
        return min(self.positions, math.ceil(one.frames.shape[1] / STRIDE) + MARGIN)

    def __call__(self, sounds: Sounds) -> Heard:
        """What is heard in a batch."""
        if sounds.silence is None:
            return Heard(self._run(sounds.frames, self.positions, None, None)[0], None)
        longest = int(sounds.lengths.max())
        silence = [self._silent(loudness) for loudness in sounds.silence]
        bias = self._bias(sounds.lengths, longest).to(sounds.frames.dtype)
        states, _, _ = self._run(sounds.frames, longest, silence, bias)
        return Heard(torch.cat([states, torch.stack([one.states for one in silence])], dim=1), bias)

    def _bias(self, lengths: torch.Tensor, longest: int) -> torch.Tensor:
        """Hides what is behind each row's end, and lets silence count for as many positions as it stands for."""
        places = torch.arange(longest, device=lengths.device)
        own = torch.where(places < lengths[:, None], 0.0, HIDDEN)
        starts = torch.arange(0, self.positions, KEPT, device=lengths.device)
        behind = ((starts + KEPT).clamp(max=self.positions) - torch.maximum(starts, lengths[:, None])).clamp(min=0)
        silence = torch.where(behind > 0, behind.clamp(min=1).log(), HIDDEN)
        return torch.cat([own, silence], dim=1)[:, None, None]

    def _silent(self, loudness: float) -> _Silence:
        level = round(loudness * LEVELS)
        if level not in self._silence:
            weight = self.network.conv1.weight
            shape = (1, self.bands, self.positions * STRIDE)
            frames = torch.full(shape, level / LEVELS, device=weight.device, dtype=weight.dtype)
            kept = torch.arange(0, self.positions, KEPT, device=weight.device) + KEPT // 2
            kept = kept.clamp(max=self.positions - 1)
            states, keys, values = self._run(frames, self.positions, None, None)
            self._silence[level] = _Silence(
                [key[0, :, kept] for key in keys], [value[0, :, kept] for value in values], states[0, kept]
            )
        return self._silence[level]

    def _run(
        self, frames: torch.Tensor, length: int, silence: list[_Silence] | None, bias: torch.Tensor | None
    ) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """`WhisperEncoder.forward`, with keys and values that stand behind those of the frames; and its own ones."""
        network = self.network
        states = F.gelu(network.conv2(F.gelu(network.conv1(frames)))).transpose(1, 2)[:, :length]
        states = states + network.embed_positions.weight[:length]
        all_keys, all_values = [], []
        for number, layer in enumerate(network.layers):
            attention, inner = layer.self_attn, layer.self_attn_layer_norm(states)
            keys, values = (in_heads(each(inner), self.heads) for each in (attention.k_proj, attention.v_proj))
            if silence is None:
                all_keys.append(keys)
                all_values.append(values)
            else:
                keys = torch.cat([keys, torch.stack([one.keys[number] for one in silence])], dim=2)
                values = torch.cat([values, torch.stack([one.values[number] for one in silence])], dim=2)
            queries = in_heads(attention.q_proj(inner), self.heads)
            states = states + attention.out_proj(attend(queries, keys, values, bias))
            states = states + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(states))))
            if states.dtype == torch.float16:  # large checkpoints leave its range, as transformers knows
                most = torch.finfo(torch.float16).max - 1000
                states = states.clamp(-most, most)
        return network.layer_norm(states), all_keys, all_values


def in_heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """rows × places × width as rows × heads × places × width of a head."""
    return states.view(*states.shape[:2], heads, -1).transpose(1, 2)


def attend(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor | None, *, causal: bool = False
) -> torch.Tensor:
    """Attention of all heads, and these side by side again."""
    found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, is_causal=causal)
    return found.transpose(1, 2).flatten(2)
